// SPDX-License-Identifier: GPL-2.0

//! Whether a fix changes the use of locks: the calls of locking functions, the order of these
//! calls, or the statements between two of them.
//!
//! Each hunk of the patch gives two texts, before and after. In both, the calls of locking
//! functions must be the same, in the same order. A statement that is in both texts must be between
//! the same two calls. A statement that is only added or removed is no change of the locks.

use std::collections::{
    BTreeMap,
    BTreeSet, //
};

/// The locking functions whose use a patch changes.
pub(crate) fn changed(patch: &str) -> Vec<String> {
    let mut names = BTreeSet::new();
    for hunk in hunks(patch) {
        names.extend(hunk.changed());
    }
    names.into_iter().map(|name| format!("{name}()")).collect()
}

/// The lines of one hunk, without and with the patch.
#[derive(Default)]
struct Hunk<'a> {
    before: Vec<&'a str>,
    after: Vec<&'a str>,
}

fn hunks(patch: &str) -> Vec<Hunk<'_>> {
    let mut hunks = Vec::new();
    let mut open = false;
    for line in patch.lines() {
        if line.starts_with("@@ ") {
            open = true;
            hunks.push(Hunk::default());
            continue;
        }
        let header = line.starts_with("--- ") || line.starts_with("+++ ");
        let Some(hunk) = hunks.last_mut().filter(|_| open && !header) else {
            continue;
        };
        match line.as_bytes().first() {
            Some(b'+') => hunk.after.push(&line[1..]),
            Some(b'-') => hunk.before.push(&line[1..]),
            Some(b' ') => {
                hunk.before.push(&line[1..]);
                hunk.after.push(&line[1..]);
            }
            Some(b'\\') | None => {}
            Some(_) => open = false,
        }
    }
    hunks
}

impl Hunk<'_> {
    /// The names of the locking functions whose use the hunk changes.
    fn changed(&self) -> BTreeSet<String> {
        let (before, after) = (Text::of(&self.before), Text::of(&self.after));
        if before.calls != after.calls {
            return before.other_calls(&after);
        }
        let moved = before.moved(&after);
        moved
            .into_iter()
            .flat_map(|(from, to)| &before.calls[from.min(to)..from.max(to)])
            .map(|call| call.name.clone())
            .collect()
    }
}

/// A call of a locking function, with those of its arguments that are in the same line.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Call {
    name: String,
    arguments: String,
}

/// The calls of locking functions in a text, and all other statements.
#[derive(Default)]
struct Text {
    calls: Vec<Call>,
    /// For each statement: how often it is behind that number of calls.
    statements: BTreeMap<String, BTreeMap<usize, usize>>,
}

impl Text {
    fn of(lines: &[&str]) -> Self {
        let mut text = Self::default();
        for line in lines {
            let code = without_comment(line);
            let calls = lock_calls(&code);
            let says_something = code.chars().any(|c| c.is_ascii_alphanumeric());
            if calls.is_empty() && says_something {
                let places = text.statements.entry(code).or_default();
                *places.entry(text.calls.len()).or_default() += 1;
            }
            text.calls.extend(calls);
        }
        text
    }

    /// The names of the calls that only one of the texts has, or that are at other positions.
    fn other_calls(&self, other: &Self) -> BTreeSet<String> {
        let mut counts: BTreeMap<&Call, isize> = BTreeMap::new();
        for (calls, sign) in [(&self.calls, 1), (&other.calls, -1)] {
            for call in calls {
                *counts.entry(call).or_default() += sign;
            }
        }
        let mut names: BTreeSet<_> = counts
            .into_iter()
            .filter(|(_, count)| *count != 0)
            .map(|(call, _)| call.name.clone())
            .collect();
        if names.is_empty() {
            let pairs = self.calls.iter().zip(&other.calls);
            names.extend(
                pairs
                    .filter(|(one, two)| one != two)
                    .map(|(one, _)| one.name.clone()),
            );
        }
        names
    }

    /// For each statement that has moved past a call: the numbers of calls before it, in both
    /// texts.
    fn moved(&self, other: &Self) -> Vec<(usize, usize)> {
        let first_excess = |more: &BTreeMap<usize, usize>, fewer: &BTreeMap<usize, usize>| {
            let excess = more
                .iter()
                .find(|(place, count)| fewer.get(place).is_none_or(|other| other < count));
            excess.map(|(place, _)| *place)
        };
        self.statements
            .iter()
            .filter_map(|(statement, before)| {
                let after = other.statements.get(statement)?;
                Some((first_excess(before, after)?, first_excess(after, before)?))
            })
            .collect()
    }
}

/// The code of a line, with one space between its words. A line inside of a comment has none.
fn without_comment(line: &str) -> String {
    let code = line.split("//").next().unwrap_or_default();
    let code = code.split("/*").next().unwrap_or_default().trim();
    // "* text" is in a comment, and "*p = 0;" is code.
    if code == "*" || code.starts_with("* ") || code.starts_with("*/") {
        return String::new();
    }
    code.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn lock_calls(code: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    for (at, _) in code.match_indices('(') {
        let name = code[..at]
            .rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .next()
            .unwrap_or_default();
        if is_lock(name) {
            calls.push(Call {
                name: name.to_owned(),
                arguments: arguments(&code[at..]).to_owned(),
            });
        }
    }
    calls
}

/// The arguments at the beginning of a text: "(mutex)(&a)" of "(mutex)(&a);".
fn arguments(text: &str) -> &str {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 => return &text[..at],
            _ => {}
        }
    }
    text
}

/// The function takes or releases a lock, enters or leaves a section of readers or writers, or
/// switches preemption, migration or interrupts off or on.
fn is_lock(name: &str) -> bool {
    // "lock_sock", "spin_lock_irqsave", "scoped_guard", "rcu_read_unlock"; not "sock_alloc".
    const WORDS: [&str; 8] = [
        "lock",
        "unlock",
        "trylock",
        "seqlock",
        "sequnlock",
        "guard",
        "seqbegin",
        "seqretry",
    ];
    const WHOLE: [&str; 13] = [
        "down",
        "up",
        "down_interruptible",
        "down_killable",
        "down_timeout",
        "downgrade_write",
        "release_sock",
        "get_cpu",
        "put_cpu",
        "migrate_disable",
        "migrate_enable",
        "mnt_want_write",
        "mnt_drop_write",
    ];
    const BEGINNINGS: [&str; 27] = [
        "down_read",
        "down_write",
        "up_read",
        "up_write",
        "percpu_down_",
        "percpu_up_",
        "preempt_disable",
        "preempt_enable",
        "sched_preempt_enable",
        "local_bh_",
        "local_irq_",
        "raw_local_irq_",
        "disable_irq",
        "enable_irq",
        "get_cpu_var",
        "put_cpu_var",
        "get_cpu_ptr",
        "put_cpu_ptr",
        "pagefault_disable",
        "pagefault_enable",
        "u64_stats_update_",
        "u64_stats_fetch_",
        "kernel_fpu_",
        "cpu_hotplug_",
        "ww_acquire_",
        "sb_start_",
        "sb_end_",
    ];
    let mut words = name.split('_');
    let is_seqcount = name.contains("seqcount_")
        && ["_begin", "_end", "_retry"]
            .iter()
            .any(|part| name.contains(part));
    WHOLE.contains(&name)
        || BEGINNINGS
            .iter()
            .any(|beginning| name.starts_with(beginning))
        || is_seqcount
        || words.any(|word| WORDS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The change of a function whose lines are these, each behind " ", "-" or "+".
    fn of(lines: &[&str]) -> Vec<String> {
        changed(&format!(
            "--- a/x.c\n+++ b/x.c\n@@ -1,9 +1,9 @@ f\n{}\n",
            lines.join("\n")
        ))
    }

    #[test]
    fn an_order_is_noticed() {
        let swapped = of(&[
            "-\tmutex_lock(&a);",
            " \tmutex_lock(&b);",
            "+\tmutex_lock(&a);",
            " \tf();",
        ]);
        assert_eq!(swapped, ["mutex_lock()"]);
        let guards = of(&["-\tguard(mutex)(&a);", "+\tguard(mutex)(&b);"]);
        assert_eq!(guards, ["guard()"]);
    }

    #[test]
    fn a_move_past_a_statement_is_noticed() {
        let unlock = " \tmutex_unlock(&a);";
        let down = of(&["-\tmutex_unlock(&a);", " \tf();", "+\tmutex_unlock(&a);"]);
        assert_eq!(down, ["mutex_unlock()"]);
        // The statement moves, and not the call.
        assert_eq!(of(&["-\tf();", unlock, "+\tf();"]), ["mutex_unlock()"]);
        let past_two = of(&[" \tdown(&a);", "-\tx = *p;", " \tup(&a);", "+\tx = *p;"]);
        assert_eq!(past_two, ["up()"]);
    }

    #[test]
    fn other_changes_are_no_change_of_locks() {
        let lock = " \tspin_lock(&a);";
        for lines in [
            &["-\tspin_lock(&a);", "+\t\tspin_lock(&a);", " \tf();"][..],
            &[lock, "+\tf();", " \tg();"],
            &[lock, "-\tf(1);", "+\tf(2);", " \tspin_unlock(&a);"],
            // A brace, a comment and an empty line are no statements.
            &[
                "-\t{",
                lock,
                "+\t{",
                "+\t/* f(); */",
                "+",
                "+\t * spin_lock(&b)",
            ],
            &["-\tf(); /* old */", "+\tf(); // new", lock],
            &["-\tf();", " \tg();", "+\tf();", lock],
        ] {
            assert_eq!(of(lines), [""; 0], "{lines:?}");
        }
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
            "down_write_killable",
            "down_read_killable",
            "down_read_trylock",
            "down_interruptible",
            "down_killable",
            "down_timeout",
            "up_write",
            "percpu_down_read",
            "percpu_up_write",
            "local_irq_save",
            "local_bh_disable",
            "write_seqlock",
            "write_seqcount_begin",
            "write_seqcount_end",
            "raw_read_seqcount_begin",
            "read_seqcount_retry",
            "read_seqbegin",
            "read_seqretry",
            "mutex_trylock",
            "migrate_disable",
            "migrate_enable",
            "preempt_disable_notrace",
            "get_cpu",
            "put_cpu",
            "get_cpu_ptr",
            "put_cpu_var",
            "pagefault_disable",
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
            "shutdown",
            "seqcount_init",
            "get_cpu_device",
            "put_cpus",
            "startup",
        ] {
            assert!(!is_lock(name), "{name}");
        }
    }
}
