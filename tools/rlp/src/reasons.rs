// SPDX-License-Identifier: GPL-2.0

//! The meaning of the loader's messages, and the remedies. This is the only place with these words;
//! `make doc-tables` makes a table of them for the guide. A unit test compares the table with the
//! sources of the loader.

/// A message of the loader, in which `{}` stands for a value, what it means, and what to do next.
/// The last text is empty if there is nothing to do.
pub(crate) type Reason = (&'static str, &'static str, &'static str);

const WRONG_FILE: &str = "report this to the author of the patch: it must be built again";
const OTHER_BUILD: &str = "get the patch that was built for this kernel (rlp check FILE)";
const AGAIN: &str = "try again when memory is free";
const REBOOT: &str = "plan a reboot";

/// The messages in the table that say why the loader has taken a patch back by itself.
pub(crate) const UNCONFIRMED: &str = "patch '{}' was not confirmed within {} s, and is taken back";
pub(crate) const REVERSED_LATE: &str =
    "patch '{}': the transition is not complete after {} s, and is reversed";

#[rustfmt::skip]
const REASONS: &[Reason] = &[
    // The loader does not load.
    ("cannot look up symbols: failed to register a kprobe on kallsyms_lookup_name", "the kernel has no kprobes or no kallsyms", "use a kernel with CONFIG_KPROBES and CONFIG_KALLSYMS"),
    ("the kernel lacks '{}', which the loader needs", "the loader does not support this kernel as it is", "see integration.rst"),
    ("the kernel lacks '{}': {}", "this is not an error: the loader works, except for what the text after the colon says", ""),
    ("failed to initialize the loader ({})", "the loader is not loaded; the line before has the reason, and -12 is a lack of memory", "rlp check --kernel"),
    ("ftrace has no records of this module: ftrace could not allocate them", "memory was short while the loader was being loaded", AGAIN),
    ("ftrace has shut itself down, until the next boot", "nothing can be patched: ftrace has found an error of its own", REBOOT),
    // A patch is refused.
    ("symbol '{}' not found in symbol table", "the kernel or the module has no such function: the patch is for another version, or the compiler has inlined the function", OTHER_BUILD),
    ("unresolvable ambiguity for symbol '{}' in object '{}'", "several functions have that name, and the patch does not select one", WRONG_FILE),
    ("symbol position {} for symbol '{}' in object '{}' not found", "fewer functions have that name than the patch expects: it is for another build", OTHER_BUILD),
    ("failed to find location for function '{}': {}", "ftrace cannot hook the function, for the reason after the colon", WRONG_FILE),
    ("function '{}' cannot be patched: it is freed after the module's init", "an __init function of a module is gone when the patch would change it", WRONG_FILE),
    ("function '{}' of '{}' is named twice", "the patch names one function by two names or positions", WRONG_FILE),
    ("patch '{}' names function '{}' of '{}' twice", "the patch names one function in two places", WRONG_FILE),
    ("patch '{}' names object '{}' twice", "the patch names one module in two places", WRONG_FILE),
    ("patch '{}': the replacement for '{}' is not in the text of the patch module", "a replacement must be code of the patch module", WRONG_FILE),
    ("patch '{}': an object's name {}", "the name of a module in the patch is not valid", WRONG_FILE),
    ("klp_enable_patch() was called with a NULL pointer", "the patch module is damaged", WRONG_FILE),
    ("klp_enable_patch() was called with a patch that {}", "the description of the patch cannot be read", WRONG_FILE),
    ("klp_enable_patch() was called with a patch that has no module", "the description of the patch is incomplete", WRONG_FILE),
    ("klp_enable_patch() was called with a patch whose module is not loaded", "the description of the patch names another module", WRONG_FILE),
    ("patch '{}' has no array of objects", "the description of the patch is incomplete", WRONG_FILE),
    ("patch '{}': object '{}' has no array of functions", "the description of the patch is incomplete", WRONG_FILE),
    ("patch '{}' has a function without a name", "the description of the patch is incomplete", WRONG_FILE),
    ("patch '{}' has a function whose name is empty or too long", "the description of the patch is not valid", WRONG_FILE),
    ("patch '{}': function '{}' has no replacement", "the description of the patch is incomplete", WRONG_FILE),
    ("patch '{}': {} is at an unaligned address", "a pointer in the description of the patch is wrong", WRONG_FILE),
    ("patch '{}': {} is not terminated", "an array or a name in the description of the patch has no end", WRONG_FILE),
    ("patch '{}': {} is at an address that cannot be read", "a pointer in the description of the patch is wrong", WRONG_FILE),
    ("kallsyms size lookup failed for '{}'", "the kernel does not know the size of the function", OTHER_BUILD),
    ("patch '{}': kallsyms size lookup failed for '{}' replacement", "the kernel does not know the size of the replacement", WRONG_FILE),
    ("module {} is not marked as a livepatch module", "the module has no MODULE_INFO(livepatch, \"Y\")", WRONG_FILE),
    ("patch '{}' cannot be enabled: its signature was not verified", "the loader requires signatures (require_signed), and the kernel trusts no signature of this module", "sign it with a key that the kernel trusts"),
    ("patch '{}' is already registered", "the module has enabled its patch before", ""),
    ("Livepatch patch ({}) is not compatible with the already installed livepatches.", "a patch in effect has changed a state; this patch lists an older version of that state, or is cumulative and does not list it", "load a newer patch"),
    ("patch '{}' cannot start a transition: '{}' is in transition", "only one patch can be in transition", "wait, or reverse the other transition: rlp status"),
    ("patch '{}' cannot be enabled: '{}' is on probation, confirm or disable it first", "the patch on probation has replaced others, and falls back to them if it is not confirmed", "rlp confirm, or rlp unload that patch"),
    ("patch '{}' cannot be enabled: its old directory is not removed yet", "the same module enables its patch once more", "try again"),
    ("patch '{}' cannot be enabled: the loader has no record of module '{}', which is still loading", "that module began to load before the loader was loaded, or while memory was short", "try again when that module is loaded"),
    ("patch '{}' cannot be enabled: out of memory", "nothing has changed", AGAIN),
    ("function '{}' is redirected by {}", "another user of ftrace has redirected the function: in-tree livepatch, a kprobe with a post handler, or bpf", "remove that user first"),
    ("failed to register ftrace handler for function '{}' ({})", "ftrace does not hook the function; the number is the error", "rlp check --kernel"),
    ("failed to register ftrace handler for function '{}' (-16)", "another user of ftrace has redirected the function: in-tree livepatch, a kprobe with a post handler, or bpf", "remove that user first"),
    ("failed to register ftrace handler for function '{}' (-19)", "ftrace has shut itself down after an error of its own", REBOOT),
    ("failed to patch object '{}'", "the line before has the reason", ""),
    ("ftrace is switched off, see sysctl kernel.ftrace_enabled", "without ftrace no function can be hooked", "sysctl kernel.ftrace_enabled=1"),
    ("pre-patch callback failed for object '{}'", "the patch itself has refused", "ask the author of the patch"),
    ("failed to initialize patch '{}' for object '{}' ({})", "the line before has the reason", ""),
    ("failed to enable patch '{}'", "all that was done for the patch was undone; the lines before have the reason", ""),
    // A module is refused.
    ("out of memory, refusing to load module '{}'", "a patch changes the module, and could not be applied to it", AGAIN),
    ("failed to initialize patch '{}' for module '{}' ({})", "the patch does not fit the module that was to be loaded", "unload the patch, or install the version of the module that it is for"),
    ("failed to apply patch '{}' to module '{}' ({})", "the patch could not be applied to the module that was to be loaded", "unload the patch, or install the version of the module that it is for"),
    ("patch '{}' failed for module '{}', refusing to load module '{}'", "the module would have run without the fix; the lines before have the reason", "unload the patch, or install the version of the module that it is for"),
    ("ftrace has no records of module '{}': ftrace could not allocate them", "memory was short while the module was being loaded", "load the module again"),
    // While the loader runs.
    ("enabling patch '{}'", "the patch is being enabled", ""),
    ("'{}': starting {} transition", "tasks are being switched", ""),
    ("'{}': starting patching transition", "tasks are being switched to the patch", ""),
    ("'{}': starting unpatching transition", "tasks are being switched away from the patch", ""),
    ("'{}': {} complete", "all tasks are switched", ""),
    ("'{}': unpatching complete", "no task uses the patch any more", ""),
    ("applying patch '{}' to loading module '{}'", "a module that the patch changes is being loaded", ""),
    ("reverting patch '{}' on unloading module '{}'", "a module that the patch changes is being unloaded", ""),
    ("'{}': replaced by '{}'", "the first patch is not in effect any more", ""),
    ("'{}': on probation, must be confirmed within {} s", "the loader takes the patch back if nobody confirms it", "rlp confirm"),
    ("'{}': confirmed", "the patch stays", ""),
    ("'{}': in effect again", "the patch that had replaced it was taken back", ""),
    ("patch '{}' was not confirmed within {} s, and is taken back", "nobody has confirmed the patch in time", "find out why, and load it again"),
    ("patch '{}': the transition is not complete after {} s, and is reversed", "the deadline has passed", "stop the tasks that the next lines name, and try again"),
    ("patch '{}': the transition is reversed, because '{}' was not confirmed in time", "the second patch has to be taken back, and no other transition may run then", "confirm the patches that shall stay, and try again"),
    ("patch '{}': tasks not switched: {} {} {}", "this number of tasks was not switched in time; the reason and the function follow", ""),
    ("patch '{}': blocked by {}", "these tasks were not switched in time", "stop them, and try again"),
    ("patch '{}': the transition was not reversed ({}), retrying", "memory was short when the transition had to be reversed: the loader tries again each second", ""),
    ("patch '{}': the uevent '{}' was not sent ({})", "memory was short: a program that waits for the event does not get it", ""),
    ("the kernel panics while patch '{}' is on probation", "the patch may be the cause of the panic", "do not load the patch again before the cause is known"),
    ("'{}': forcing remaining tasks to the patched state", "somebody has forced the transition: old and new functions run side by side", REBOOT),
    ("patch '{}': its module cannot be unloaded, because tasks were forced", "a task may still run in the module", REBOOT),
    ("patch '{}' is still registered while its module is being unloaded: the patch is disabled first", "the init function of the module has failed, or somebody has used rmmod -f", "rlp status"),
    ("patch '{}' is not disabled yet: the unload of its module waits until it is", "tasks are still in the patch", "rlp status names them"),
    ("patch '{}' was not disabled ({})", "the patch stays in effect; -12 is a lack of memory, -16 another patch in transition or a kprobe with a post handler, -19 an ftrace that has shut itself down", "try again; after -19, plan a reboot"),
    ("patch '{}': the transition was not reversed ({})", "memory was short: the transition continues as before", AGAIN),
    ("patch '{}' is already {}", "nothing was to be done", ""),
    ("patch '{}' cannot be enabled: '{}' has replaced it and is on probation", "the first patch is held, and is in effect again if the second is taken back", "rlp unload the second patch"),
    ("patch '{}' cannot be confirmed: it is not in effect yet", "a patch is confirmed after its transition", "wait until rlp status says that it is on probation"),
    ("patch '{}' cannot be confirmed: it is being disabled", "an operator disables the patch", "rlp reverse, then confirm it"),
    ("patch '{}' is not in transition", "no task waits to be switched", ""),
    ("patch '{}' cannot be forced: module '{}' is being initialized or unloaded", "the kernel may free that module while tasks run in it", "stop the tasks that rlp status names, or try again in 10 s"),
    ("patch '{}': the value of confirmed must be 1", "somebody has written 0 to that file", ""),
    ("patch '{}': the value of {} must be 0 or 1", "somebody has written another value to that file", ""),
    ("patch '{}': the value of deadline must be a number of seconds", "somebody has written another value to that file", ""),
    ("failed to complete the transition ({}), retrying", "memory was short, or ftrace has shut itself down (-19); the loader retries by itself", ""),
    ("some functions were not unhooked, and run their original code ({})", "memory was short, or ftrace has shut itself down (-19); the loader retries by itself", ""),
    ("'{}': new tasks switched before their parents, because there was no room for their records: {}", "until the parents are switched, these tasks call other functions than their parents; harmless, unless a patched function passes data from a parent to its child", ""),
    ("Duplicate shadow variable <{}, {}>", "a mistake in the patch: it allocates a shadow variable twice", WRONG_FILE),
    ("Failed to construct shadow variable <{}, {}> ({})", "a constructor in the patch has failed with the error in brackets", "ask the author of the patch"),
    ("ftrace has shut itself down: the loader cannot be unloaded any more", "functions that are hooked stay hooked, and nothing can be patched", REBOOT),
    ("a bpf program cannot be attached to a patched function, because the function still jumps ({})", "the jump was not removed, so the bpf program was not attached", "attach the program again; after -16, first remove the kprobe from the function"),
    ("jumps that were not removed: {}", "ftrace has shut itself down, and these functions stay patched", REBOOT),
    ("the loader is not unloaded, because bpf may still call it", "ftrace has shut itself down after an error of its own: rmmod does not end", REBOOT),
    ("the anchor of the jumps was not removed ({})", "ftrace has shut itself down after an error of its own", REBOOT),
    ("a jump was not removed ({})", "ftrace has shut itself down, and the function stays patched", REBOOT),
];

/// Whether a message has the form of a pattern.
fn matches(pattern: &str, message: &str) -> bool {
    let mut parts = pattern.split("{}");
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = message.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    true
}

/// The reason in words. If several patterns match, the pattern with the longest text is meant.
pub(crate) fn find(message: &str) -> Option<&'static Reason> {
    let found = REASONS.iter();
    found
        .filter(|(pattern, ..)| matches(pattern, message))
        .max_by_key(|(pattern, ..)| pattern.replace("{}", "").len())
}

/// The patch that a message is about, if it names one.
pub(crate) fn patch_of(message: &str) -> Option<&str> {
    let rest = match message.strip_prefix('\'') {
        Some(rest) => rest,
        None => message.split_once("patch '")?.1,
    };
    Some(rest.split_once('\'')?.0)
}

/// Messages with their words, and what to do about the first of them that has a remedy.
pub(crate) fn explain(messages: &[String]) -> (String, Option<&'static str>) {
    let mut lines = Vec::new();
    let mut remedy = None;
    for message in messages {
        lines.push(message.clone());
        if let Some((_, words, next)) = find(message) {
            lines.push(format!("  {words}"));
            remedy = remedy.or(Some(*next).filter(|next| !next.is_empty()));
        }
    }
    (lines.join("\n"), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// The text of a literal that begins at the start of `source`, after white space.
    fn literal(source: &str) -> Option<String> {
        let source = source.trim_start();
        let source = source
            .strip_prefix("KBUILD_MODNAME \": ")
            .or_else(|| source.strip_prefix('"'))?;
        let mut text = String::new();
        let mut chars = source.chars();
        loop {
            match chars.next()? {
                '"' => return Some(text),
                '\\' => match chars.next()? {
                    'n' => (),
                    other => text.push(other),
                },
                other => text.push(other),
            }
        }
    }

    /// The message with "{}" in place of each value.
    fn pattern(text: &str) -> String {
        let mut pattern = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '%']) {
            pattern += &rest[..at];
            pattern += "{}";
            rest = &rest[at..];
            let end = if rest.starts_with('{') {
                rest.find('}').unwrap() + 1
            } else {
                1 + rest[1..]
                    .find(|c: char| !c.is_ascii_lowercase())
                    .unwrap_or(rest.len() - 1)
            };
            rest = &rest[end..];
        }
        pattern + rest
    }

    /// The patterns of all messages of the loader that are not for debugging.
    fn messages() -> Vec<String> {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rust");
        let mut messages = Vec::new();
        for folder in ["livepatch", "kernel", "api", "helpers"] {
            for entry in std::fs::read_dir(top.join(folder)).unwrap() {
                let path = entry.unwrap().path();
                if !path
                    .extension()
                    .is_some_and(|end| end == "rs" || end == "c")
                {
                    continue;
                }
                let source = std::fs::read_to_string(&path).unwrap();
                let source: String = source
                    .lines()
                    .filter(|line| !line.trim_start().starts_with("//"))
                    .fold(String::new(), |all, line| all + line + "\n");
                for level in ["emerg", "err", "warn", "notice"] {
                    for open in ["!(", "("] {
                        let call = format!("pr_{level}{open}");
                        let calls = source.match_indices(&call);
                        messages.extend(
                            calls.filter_map(|(at, _)| literal(&source[at + call.len()..])),
                        );
                    }
                }
                // The message "patch '{}': {} {}" has its text in the last value. These texts are
                // in the arms of a match.
                messages.extend(source.match_indices("=> (\"").filter_map(|(at, _)| {
                    let text = literal(&source[at + 4..])?;
                    Some(format!("patch '{{}}': {{}} {text}"))
                }));
            }
        }
        let mut patterns: Vec<_> = messages.iter().map(|text| pattern(text)).collect();
        patterns.retain(|pattern| pattern != "patch '{}': {} {}");
        patterns
    }

    #[test]
    fn each_message_of_the_loader_has_words() {
        let messages = messages();
        assert!(messages.len() > 80, "{messages:#?}");
        let missing: Vec<_> = messages
            .iter()
            .filter(|message| REASONS.iter().all(|(pattern, ..)| pattern != message))
            .collect();
        assert!(missing.is_empty(), "no words in reasons.rs: {missing:#?}");
        let stale: Vec<_> = REASONS
            .iter()
            .filter(|(pattern, ..)| !messages.iter().any(|message| matches(message, pattern)))
            .collect();
        assert!(
            stale.is_empty(),
            "the loader has no such message: {stale:#?}"
        );
    }

    #[test]
    fn the_messages_that_are_looked_for_are_in_the_table() {
        for wanted in [UNCONFIRMED, REVERSED_LATE] {
            assert!(REASONS.iter().any(|(pattern, ..)| *pattern == wanted));
        }
    }

    #[test]
    fn the_closest_pattern_is_meant() {
        for (message, words) in [
            (
                "failed to register ftrace handler for function 'x' (-19)",
                "ftrace has shut itself down",
            ),
            (
                "failed to register ftrace handler for function 'x' (-16)",
                "another user",
            ),
            (
                "failed to register ftrace handler for function 'x' (-12)",
                "the number is the error",
            ),
            (
                "patch 'a' is already registered",
                "has enabled its patch before",
            ),
            ("patch 'a' is already enabled", "nothing was to be done"),
            ("'a': unpatching complete", "no task uses the patch"),
        ] {
            let (_, found, _) = find(message).unwrap();
            assert!(found.contains(words), "{message}: {found}");
        }
        assert_eq!(find("a message of a newer loader"), None);
        assert_eq!(find("symbol 'x' not found in symbol table, really"), None);
    }

    #[test]
    fn messages_name_their_patch() {
        for (message, patch) in [
            ("'a': unpatching complete", Some("a")),
            (
                "patch 'a' cannot start a transition: 'b' is in transition",
                Some("a"),
            ),
            (
                "failed to initialize patch 'a' for object 'b' (-22)",
                Some("a"),
            ),
            ("symbol 'x' not found in symbol table", None),
        ] {
            assert_eq!(patch_of(message), patch);
        }
    }

    #[test]
    fn the_first_remedy_is_shown() {
        let messages = [
            "function 'f' is redirected by klp",
            "failed to patch object 'x'",
        ];
        let (why, next) = explain(&messages.map(str::to_owned));
        assert_eq!(why.lines().count(), 4, "{why}");
        assert_eq!(next, Some("remove that user first"));
        assert_eq!(
            explain(&["unknown".to_owned()]),
            ("unknown".to_owned(), None)
        );
        assert_eq!(explain(&[]), (String::new(), None));
    }
}
