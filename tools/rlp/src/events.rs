// SPDX-License-Identifier: GPL-2.0

//! The loader's events in words, for the history.

/// The words for an event of a patch. `state` is the state of the patch after the event. An event
/// of a newer loader is shown as it is.
pub(crate) fn words(event: &str, state: Option<&str>) -> String {
    let words = match (event, state) {
        ("start", Some("patching")) => "it is being enabled",
        ("start", Some("unpatching")) => "it is being disabled",
        ("reverse", Some("patching")) => "its transition was reversed: it is being enabled",
        ("reverse", Some("unpatching")) => "its transition was reversed: it is being disabled",
        ("deadline", _) => "its transition was not complete by the deadline, and is being reversed",
        ("force", _) => "its transition was forced, without proof",
        ("wait", _) => "its transition has waited for tasks for 10 s",
        ("complete", Some("enabled")) => "it is in effect",
        ("complete", Some("probation")) => "it is in effect, and on probation",
        ("complete", Some("disabled")) => "it is not in effect any more",
        ("confirm", _) => "it is confirmed",
        ("expire", _) => "nobody has confirmed it in time, and it is taken back",
        ("restore", _) => "it is in effect again: the patch that had replaced it was taken back",
        ("leave", _) => "the loader has removed it",
        ("panic", _) => "the kernel has panicked while it was on probation",
        (_, Some(state)) => return format!("{event}, {state}"),
        (_, None) => event,
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::words;

    /// The events and the states in the user guide.
    #[test]
    fn each_event_has_words() {
        let guide = include_str!("../../../Documentation/user-guide.rst");
        let (_, guide) = guide.split_once("The events are:").unwrap();
        let (table, _) = guide.split_once("The state is").unwrap();
        let names = table.lines().filter_map(|line| line.strip_prefix("``"));
        let events: Vec<_> = names.filter_map(|line| line.split('`').next()).collect();
        assert!(events.len() >= 10, "{events:?}");
        for event in events {
            let states = ["patching", "unpatching", "enabled", "probation", "disabled"];
            let known = states
                .iter()
                .filter(|state| words(event, Some(state)) != format!("{event}, {state}"));
            assert!(known.count() >= 2, "{event}");
        }
        assert_eq!(words("melt", Some("enabled")), "melt, enabled");
        assert_eq!(words("melt", None), "melt");
    }
}
