// SPDX-License-Identifier: GPL-2.0

//! The losses of a new level: fixes, kernels and blocks that the previous level has, and the new
//! one lacks. The patch of a level replaces that of the previous one, so a machine loses these
//! fixes.

use crate::level::{
    Kernel,
    Level, //
};

/// The losses of one kernel, in words.
fn of_kernel(before: &Level, kernel: &Kernel, level: &Level) -> Vec<String> {
    let (nr, release) = (before.level, &kernel.release);
    if level.kernel(release).is_none() {
        return vec![format!(
            "level {nr} has a patch for {release}, and this level has none"
        )];
    }
    let is_kept = |cve: &str| level.fixes_for(release).any(|fix| fix.cve == cve);
    before
        .fixes_for(release)
        .filter(|fix| !is_kept(&fix.cve))
        .map(|fix| {
            let cve = &fix.cve;
            format!("level {nr} fixes {cve} for {release}, and this level does not")
        })
        .collect()
}

/// All losses, in words.
pub(crate) fn losses(before: &Level, level: &Level) -> Vec<String> {
    let nr = before.level;
    let kernels = before.kernels.iter();
    let fixes = kernels.flat_map(|kernel| of_kernel(before, kernel, level));
    let is_left_out = |blocked: &&u32| !level.blocked.contains(blocked);
    let blocks = before
        .blocked
        .iter()
        .filter(is_left_out)
        .map(|blocked| format!("level {nr} blocks level {blocked}, and this level does not"));
    fixes.chain(blocks).collect()
}
