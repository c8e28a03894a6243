// SPDX-License-Identifier: GPL-2.0

//! The questions about a fix that a person has to decide.
//!
//! While the transition runs, some tasks run the old code and some the new code. This program
//! detects that a fix changes data, defines callbacks, or changes calls of locking functions. It
//! does not detect such a call that only moves. A person has to decide whether the old and the new
//! code may then run side by side.

use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// One question for a person.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Concern {
    kind: Kind,
    sentence: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Callback,
    DataChange,
    LockOrder,
}

impl fmt::Display for Concern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Callback => "callback",
            Kind::DataChange => "data-change",
            Kind::LockOrder => "lock-order",
        };
        write!(f, "{kind}: {}", self.sentence)
    }
}

/// The questions about a patch, from its text and from the reason of its refusal.
pub(crate) fn of_patch(patch: &str, refused: Option<&str>) -> Vec<Concern> {
    let mut list = Vec::new();
    let mut add = |kind, sentence: String| list.push(Concern { kind, sentence });
    match refused {
        Some("changed-data") => add(
            Kind::DataChange,
            "set existing data in a callback, or find a fix that does not change them".into(),
        ),
        Some("changed-layout") => add(
            Kind::DataChange,
            "make the new member a shadow variable, or find a fix that does not need it".into(),
        ),
        Some("init") => add(
            Kind::Callback,
            "init code has run already: a callback must do again what it does".into(),
        ),
        _ => {}
    }
    let changed = ChangedLines::of(patch);
    if changed.added.iter().any(|line| is_callback(line)) {
        add(
            Kind::Callback,
            "the callbacks must also undo what they do, when the patch is disabled or fails".into(),
        );
    }
    let locks = changed.locks();
    if !locks.is_empty() {
        add(
            Kind::LockOrder,
            format!(
                "it changes the use of {}: old and new code must be safe beside each other",
                locks.join(", ")
            ),
        );
    }
    list
}

fn is_callback(line: &str) -> bool {
    [
        "KLP_PRE_PATCH_CALLBACK(",
        "KLP_POST_PATCH_CALLBACK(",
        "KLP_PRE_UNPATCH_CALLBACK(",
        "KLP_POST_UNPATCH_CALLBACK(",
    ]
    .iter()
    .any(|name| line.contains(name))
}

/// The lines that a patch adds and removes.
struct ChangedLines<'a> {
    added: Vec<&'a str>,
    removed: Vec<&'a str>,
}

impl<'a> ChangedLines<'a> {
    fn of(patch: &'a str) -> Self {
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        let mut in_hunk = false;
        for line in patch.lines() {
            match line.as_bytes().first() {
                Some(b'@') if line.starts_with("@@ ") => in_hunk = true,
                Some(b'+') if in_hunk && !line.starts_with("+++ ") => added.push(&line[1..]),
                Some(b'-') if in_hunk && !line.starts_with("--- ") => removed.push(&line[1..]),
                Some(b' ' | b'\\') | None => {}
                _ if !line.starts_with("--- ") && !line.starts_with("+++ ") => in_hunk = false,
                _ => {}
            }
        }
        Self { added, removed }
    }

    /// The locking functions whose calls change: the number of the calls, or their arguments.
    fn locks(&self) -> Vec<String> {
        let mut calls: BTreeMap<(String, String), isize> = BTreeMap::new();
        for (lines, sign) in [(&self.added, 1), (&self.removed, -1)] {
            for call in lines.iter().flat_map(|line| lock_calls(line)) {
                *calls.entry(call).or_default() += sign;
            }
        }
        let mut names: Vec<_> = calls
            .into_iter()
            .filter(|(_, count)| *count != 0)
            .map(|((name, _), _)| format!("{name}()"))
            .collect();
        names.dedup();
        names
    }
}

/// Each call of a locking function in a line, with those of its arguments that are in this line.
fn lock_calls(line: &str) -> Vec<(String, String)> {
    let code = line.split("//").next().unwrap_or_default();
    if code.trim_start().starts_with(['*', '/']) {
        return Vec::new();
    }
    let mut calls = Vec::new();
    for (at, _) in code.match_indices('(') {
        let before = &code[..at];
        let name = before
            .rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .next()
            .unwrap_or_default();
        if is_lock(name) {
            let arguments = code[at + 1..].split(')').next().unwrap_or_default();
            calls.push((name.to_owned(), arguments.trim().to_owned()));
        }
    }
    calls
}

/// The function takes or releases a lock, or switches preemption or interrupts off or on.
fn is_lock(name: &str) -> bool {
    const WORDS: [&str; 6] = ["lock", "unlock", "trylock", "seqlock", "sequnlock", "guard"];
    const WHOLE: [&str; 12] = [
        "down",
        "up",
        "down_read",
        "down_write",
        "up_read",
        "up_write",
        "downgrade_write",
        "preempt_disable",
        "preempt_enable",
        "local_bh_disable",
        "local_bh_enable",
        "release_sock",
    ];
    if WHOLE.contains(&name) || name.starts_with("local_irq_") {
        return true;
    }
    let mut words = name.split('_');
    // "lock_sock", "spin_lock_irqsave", "scoped_guard", "rcu_read_unlock"; not "sock_alloc".
    words.any(|word| WORDS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(patch: &str, refused: Option<&str>) -> Vec<Kind> {
        of_patch(patch, refused).iter().map(|c| c.kind).collect()
    }

    #[test]
    fn a_lock_is_noticed() {
        let patch = "--- a/x.c\n+++ b/x.c\n@@ -1,2 +1,4 @@\n \tf();\n\
                     +\tmutex_lock(&a->lock);\n \tg();\n+\tmutex_unlock(&a->lock);\n";
        let found = of_patch(patch, None);
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].to_string(),
            "lock-order: it changes the use of mutex_lock(), mutex_unlock(): old and new code must \
             be safe beside each other"
        );
    }

    #[test]
    fn a_line_that_moves_is_no_change_of_locks() {
        let patch = "--- a/x.c\n+++ b/x.c\n@@ -1,3 +1,3 @@\n-\tspin_lock(&x);\n\
                     +\t\tspin_lock(&x);\n-\tif (block(a))\n+\tif (clock(b))\n+\t * spin_lock(y)\n";
        assert_eq!(kinds(patch, None), []);
        let other = patch.replacen("+\t\tspin_lock(&x)", "+\t\tspin_lock(&y)", 1);
        assert_eq!(kinds(&other, None), [Kind::LockOrder]);
    }

    #[test]
    fn names_of_locks() {
        for name in [
            "mutex_lock",
            "spin_unlock_irqrestore",
            "rcu_read_lock",
            "lock_sock",
            "release_sock",
            "guard",
            "scoped_guard",
            "down_read",
            "local_irq_save",
            "write_seqlock",
            "mutex_trylock",
        ] {
            assert!(is_lock(name), "{name}");
        }
        for name in [
            "block",
            "clock_gettime",
            "sock_alloc",
            "kfree_rcu",
            "blocked",
            "if",
        ] {
            assert!(!is_lock(name), "{name}");
        }
    }

    #[test]
    fn data_and_callbacks_are_for_a_person() {
        assert_eq!(kinds("", Some("changed-data")), [Kind::DataChange]);
        assert_eq!(kinds("", Some("changed-layout")), [Kind::DataChange]);
        assert_eq!(kinds("", Some("init")), [Kind::Callback]);
        assert_eq!(kinds("", Some("no-fentry")), []);
        let patch = "--- a/x.c\n+++ b/x.c\n@@ -1 +1,2 @@\n f\n+KLP_PRE_PATCH_CALLBACK(pre);\n";
        assert_eq!(kinds(patch, None), [Kind::Callback]);
    }
}
