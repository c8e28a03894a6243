// SPDX-License-Identifier: GPL-2.0

//! The patches and the loader that a boot loads.
//!
//! The list of the boot names the patch of the newest verified level, and the patches that an
//! operator has installed. Each level brings its own loader. If the level of the list has failed,
//! the boot loads another verified level in its place, with the loader of that one. So there is a
//! way back from a loader that does not work.

use crate::boot;
use crate::failure::{
    Failure,
    Result, //
};
use crate::level::Number;
use crate::loader;
use crate::modules;
use crate::policy_file;
use crate::store::{
    self,
    State,
    Verified, //
};
use crate::stored_loader::{
    self,
    best,
    usable, //
};
use crate::system::System;
use std::path::PathBuf;

/// A patch, and its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) name: String,
    pub(crate) file: PathBuf,
}

/// The patches and the loader of a boot.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) patches: Vec<Stored>,
    /// The verified level whose loader is loaded. `None`: a package has the loader, it is loaded
    /// already, or there is none.
    pub(crate) loader: Option<Verified>,
    /// The level that `patches` has.
    pub(crate) level: Option<Verified>,
    /// Remarks for the reader.
    pub(crate) lines: Vec<String>,
}

impl Choice {
    /// The names of the patches.
    pub(crate) fn names(&self) -> Vec<String> {
        self.patches
            .iter()
            .map(|patch| patch.name.clone())
            .collect()
    }

    /// The patch of the level whose loader has not run here yet. If the machine does not survive
    /// this boot, that level is to blame as well.
    pub(crate) fn loader_on_trial(&self) -> Option<String> {
        let level = self.loader.as_ref()?;
        (!level.has_proven_loader()).then(|| level.patch.clone())
    }

    /// The levels that this boot leaves out if it cannot load this loader or this patch.
    pub(crate) fn levels(&self) -> Vec<Number> {
        let levels = self.loader.iter().chain(&self.level);
        levels.map(|level| level.level).collect()
    }

    /// A line about the loader, for a dry run.
    pub(crate) fn loader_line(&self) -> Option<String> {
        let level = self.loader.as_ref()?.level;
        Some(format!("the loader of level {level} would be loaded first"))
    }

    /// Loads the loader.
    pub(crate) fn load_loader(&self, system: &System) -> Result<()> {
        match &self.loader {
            None => modules::load_loader(system),
            Some(level) => {
                let path = store::stored_loader(system, level)?;
                modules::load_loader_of(system, path.as_deref())
            }
        }
    }
}

/// Chooses what is loaded. The quarantined patches, and the levels that have failed in this boot
/// already, are left out.
pub(crate) fn choose(
    system: &System,
    release: &str,
    quarantined: &[String],
    failed: &[Number],
) -> Result<Choice> {
    let mut choice = Choice {
        patches: Vec::new(),
        loader: None,
        level: None,
        lines: Vec::new(),
    };
    // Without the state, the patches of the list are loaded nevertheless.
    let state = State::read(system).unwrap_or_else(|failure| {
        choice.lines.push(failure.what);
        State::default()
    });
    let build_id = system.kernel_build_id();
    let of_kernel: Vec<_> = state.of_kernel(release, build_id.as_deref()).collect();
    let level_of = |name: &str| {
        let levels = of_kernel.iter().filter(|level| level.patch == name);
        levels.max_by_key(|level| level.level).copied()
    };
    let listed = boot::installed(system, release)?;
    let is_left_out = |name: &String| {
        quarantined.contains(name) || level_of(name).is_some_and(|it| failed.contains(&it.level))
    };
    let (left_out, loaded): (Vec<_>, Vec<_>) = listed.into_iter().partition(is_left_out);
    let levels = loaded.iter().filter_map(|name| level_of(name));
    choice.level = levels.max_by_key(|level| level.level).cloned();
    choice.patches = loaded
        .into_iter()
        .map(|name| boot::stored(system, release, name))
        .collect();

    let is_packaged = stored_loader::of_package(system, release).is_some();
    if choice.level.is_none() && left_out.iter().any(|name| level_of(name).is_some()) {
        match fallback(system, &state, quarantined, failed) {
            Err(failure) => choice.lines.push(no_fallback(&failure)),
            Ok(levels) => choice.fall_back(system, best(levels, is_packaged)),
        }
    }
    if !is_packaged && !loader::is_loaded(system) {
        let own = choice.level.clone().filter(|level| level.loader.is_some());
        let of_others = || stored_loader::for_other_patches(system, &state, quarantined, failed);
        choice.loader = own.or_else(of_others);
    }
    Ok(choice)
}

fn no_fallback(failure: &Failure) -> String {
    format!("no earlier level is loaded: {}", failure.what)
}

/// The verified levels that may be loaded in the place of one that has failed.
fn fallback(
    system: &System,
    state: &State,
    quarantined: &[String],
    failed: &[Number],
) -> Result<Vec<Verified>> {
    let policy = policy_file::read(system)?;
    Ok(usable(system, state, &policy.blocked, quarantined, failed))
}

impl Choice {
    /// Adds a level that was verified before.
    fn fall_back(&mut self, system: &System, level: Option<Verified>) {
        let Some(level) = level else {
            return;
        };
        self.lines.push(format!(
            "level {} was verified before, and is loaded in the place of the one that has failed",
            level.level
        ));
        self.patches.push(Stored {
            name: level.patch.clone(),
            file: store::patch_path(system, level.level, &level.release, &level.patch),
        });
        self.level = Some(level);
    }
}
