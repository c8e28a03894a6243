// SPDX-License-Identifier: GPL-2.0

//! The questions about a fix that a person has to decide.
//!
//! While the transition runs, some tasks run the old code and some the new code. This program
//! detects that a fix changes data, defines callbacks, or changes the use of locks. A person has to
//! decide whether the old and the new code may then run side by side.

use crate::locks;
use serde::Serialize;
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
        Some("init" | "boot-table") => add(
            Kind::Callback,
            "the kernel has booted already: a callback must do again what it does at boot".into(),
        ),
        _ => {}
    }
    if added_lines(patch).iter().any(|line| is_callback(line)) {
        add(
            Kind::Callback,
            "the callbacks must also undo what they do, when the patch is disabled or fails".into(),
        );
    }
    let locks = locks::changed(patch);
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

/// The lines that a patch adds.
fn added_lines(patch: &str) -> Vec<&str> {
    let mut added = Vec::new();
    let mut in_hunk = false;
    for line in patch.lines() {
        match line.as_bytes().first() {
            Some(b'@') if line.starts_with("@@ ") => in_hunk = true,
            Some(b'+') if in_hunk && !line.starts_with("+++ ") => added.push(&line[1..]),
            Some(b' ' | b'\\' | b'-' | b'+') | None => {}
            Some(_) => in_hunk = false,
        }
    }
    added
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
    fn data_and_callbacks_are_for_a_person() {
        assert_eq!(kinds("", Some("changed-data")), [Kind::DataChange]);
        assert_eq!(kinds("", Some("changed-layout")), [Kind::DataChange]);
        assert_eq!(kinds("", Some("init")), [Kind::Callback]);
        assert_eq!(kinds("", Some("no-fentry")), []);
        let patch = "--- a/x.c\n+++ b/x.c\n@@ -1 +1,2 @@\n f\n+KLP_PRE_PATCH_CALLBACK(pre);\n";
        assert_eq!(kinds(patch, None), [Kind::Callback]);
    }
}
