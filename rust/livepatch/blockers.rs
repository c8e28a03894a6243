// SPDX-License-Identifier: GPL-2.0

//! The tasks that block a transition, counted by reason and function.

use crate::records::Blocker;
use core::cmp::Reverse;
use kernel::prelude::*;
use kernel_ext::{
    kallsyms,
    sort, //
};

/// Counts `blockers` by reason and function, the most frequent first.
///
/// # Context
///
/// May sleep.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn count_by_function(
    blockers: impl Iterator<Item = Blocker>,
) -> Result<KVVec<(Blocker, usize)>> {
    let mut counts = KVVec::new();
    for blocker in blockers {
        counts.push((blocker, 1), GFP_KERNEL)?;
    }
    merge_functions(counts)
}

/// Adds up the counts of the same reason and function.
///
/// # Errors
///
/// `ENOMEM`.
fn merge_functions(counts: KVVec<(Blocker, usize)>) -> Result<KVVec<(Blocker, usize)>> {
    // Many tasks are at the same few addresses. So equal addresses are counted first, and the
    // function of each address is looked up once.
    let mut counts = sum_up(counts)?;
    for (blocker, _) in counts.iter_mut() {
        if let Blocker::Inside(addr) = blocker {
            *addr = kallsyms::extent_of(*addr).map_or(*addr, |(start, _)| start);
        }
    }
    let mut counts = sum_up(counts)?;
    sort::by_key(&mut counts, |&(_, count)| Reverse(count));
    Ok(counts)
}

/// Adds up the counts of equal blockers.
///
/// # Errors
///
/// `ENOMEM`.
fn sum_up(mut counts: KVVec<(Blocker, usize)>) -> Result<KVVec<(Blocker, usize)>> {
    sort::by_key(&mut counts, |&(blocker, _)| blocker);
    let mut sums: KVVec<(Blocker, usize)> = KVVec::new();
    for &(blocker, count) in &counts {
        match sums.last_mut() {
            Some((last, sum)) if *last == blocker => *sum = sum.saturating_add(count),
            _ => sums.push((blocker, count), GFP_KERNEL)?,
        }
    }
    Ok(sums)
}

/// Passes the reason and the name of the function of `blocker` to `print`. The name is "-" if the
/// reason needs none, and is cut to `longest` bytes.
///
/// # Context
///
/// May sleep.
///
/// # Errors
///
/// `ENOMEM`, and those of `print`.
pub(crate) fn name(
    blocker: Blocker,
    longest: usize,
    print: impl FnOnce(&str, &str) -> Result,
) -> Result {
    match blocker {
        Blocker::Unknown => print("unknown", "-"),
        Blocker::Running => print("running", "-"),
        Blocker::Unreliable => print("unreliable", "-"),
        Blocker::Inside(addr) => {
            let name = kallsyms::name_of(addr)?;
            let name = name.as_str().split('+').next().unwrap_or("?");
            print("inside", name.get(..longest).unwrap_or(name))
        }
    }
}
