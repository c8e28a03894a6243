// SPDX-License-Identifier: GPL-2.0

//! Removes files of levels that nothing needs any more: those of kernels that are not installed,
//! those of levels that were replaced or have failed, and old descriptions.
//!
//! The boot forgets the level of a kernel that is gone first. Then the state forgets it, and then
//! its files are removed. So after a power cut or a failure, the next run does the rest.

use crate::boot;
use crate::failure::Result;
use crate::level::{
    self,
    Number, //
};
use crate::store::{
    self,
    State,
    Verified, //
};
use crate::system::{
    names_in,
    System, //
};
use std::collections::BTreeSet;
use std::path::Path;

/// How many descriptions of levels stay, and how many levels the state remembers.
const REMEMBERED: usize = 50;

/// Whether a kernel is installed, or runs. If the folder of all kernels cannot be seen, each kernel
/// counts as installed.
fn is_installed(system: &System, release: &str) -> bool {
    let modules = system.path("/lib/modules");
    release == system.release() || !modules.is_dir() || modules.join(release).is_dir()
}

/// Removes the old entries of a list, except those that `is_needed` wants.
fn keep_last<T>(all: &mut Vec<T>, is_needed: impl Fn(&T) -> bool) {
    let old = all.len().saturating_sub(REMEMBERED);
    let mut nr = 0;
    all.retain(|one| {
        nr += 1;
        nr > old || is_needed(one)
    });
}

/// Forgets what is not needed. Returns the verified levels of kernels that are gone.
fn forget(system: &System, state: &mut State) -> Vec<Verified> {
    let all = std::mem::take(&mut state.verified);
    let (kept, gone) = all
        .into_iter()
        .partition(|level| is_installed(system, &level.release));
    state.verified = kept;
    keep_last(&mut state.verified, |level| level.stored);
    keep_last(&mut state.seen, |_| false);
    gone
}

/// Removes a file or a folder with its files.
fn remove(path: &Path) -> Result<()> {
    if !path.is_dir() {
        return Ok(durable::remove(path)?);
    }
    for name in names_in(path)? {
        remove(&path.join(name))?;
    }
    Ok(durable::remove_folder(path)?)
}

/// Removes the files of a level that nothing needs: its description if `is_old`, and its files for
/// each kernel that `is_needed` does not want.
fn remove_level(folder: &Path, is_old: bool, is_needed: impl Fn(&str) -> bool) -> Result<()> {
    for name in names_in(folder)? {
        let is_left_out = if name == level::FILE || name == store::OTHER {
            is_old
        } else {
            !is_needed(&name)
        };
        if is_left_out {
            remove(&folder.join(name))?;
        }
    }
    if names_in(folder)?.is_empty() {
        durable::remove_folder(folder)?;
    }
    Ok(())
}

/// Removes what is not needed. `in_use` has the levels that are not verified, and whose files are
/// needed: that of the package, and one that is being applied. Returns what was done.
pub(crate) fn run(
    system: &System,
    state: &mut State,
    in_use: &BTreeSet<Number>,
) -> Result<Vec<String>> {
    let mut next = state.clone();
    let gone = forget(system, &mut next);
    let mut lines = BTreeSet::new();
    for level in gone {
        if boot::is_stored(system, &level.release, &level.patch) {
            boot::uninstall(system, &level.release, &level.patch)?;
        }
        lines.insert(format!(
            "the levels for {} are removed, because that kernel is not installed any more",
            level.release
        ));
    }
    if next != *state {
        next.write(system)?;
        *state = next;
    }
    let folder = store::folder(system);
    let mut levels = BTreeSet::new();
    for name in names_in(&folder)? {
        let path = folder.join(&name);
        match name.parse::<Number>() {
            Ok(level) if path.is_dir() => drop(levels.insert(level)),
            // An earlier version had one loader for all levels.
            Err(_) if name == "loader" => remove(&path)?,
            _ => (),
        }
    }
    for (nr, &level) in levels.iter().rev().enumerate() {
        let is_needed = |release: &str| {
            let is_own = |it: &Verified| it.level == level && it.release == release;
            in_use.contains(&level) || state.verified.iter().any(|it| it.stored && is_own(it))
        };
        let is_old = nr >= REMEMBERED && !in_use.contains(&level);
        remove_level(&folder.join(level.to_string()), is_old, is_needed)?;
    }
    Ok(lines.into_iter().collect())
}
