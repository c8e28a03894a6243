// SPDX-License-Identifier: GPL-2.0

//! The files of the loader: that of a package of the loader, and those of levels.
//!
//! A package of the loader goes first: `modprobe` finds it. Without such a package, each level has
//! a loader of its own. The loader of a level that was not verified is loaded only by the run that
//! applies the level.

use crate::digest::Digest;
use crate::failure::{
    on_file,
    Result, //
};
use crate::level::{
    self,
    Number, //
};
use crate::loader;
use crate::module_file::ModuleFile;
use crate::policy_file;
use crate::store::{
    self,
    State,
    StoredLoader,
    Verified, //
};
use crate::system::System;
use std::io::ErrorKind;
use std::path::{
    Path,
    PathBuf, //
};

/// Finds the file in a folder, or in a folder below it, for whose name `wanted` returns true.
fn find(folder: &Path, wanted: &dyn Fn(&str) -> bool) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    entries.flatten().find_map(|entry| {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder {
            find(&entry.path(), wanted)
        } else {
            let is_wanted = entry.file_name().to_str().is_some_and(wanted);
            is_wanted.then(|| entry.path())
        }
    })
}

/// The file that a package of the loader has installed for a release.
pub(crate) fn of_package(system: &System, release: &str) -> Option<PathBuf> {
    let folder = system.path(&format!("/lib/modules/{release}"));
    find(&folder, &|name: &str| {
        name.strip_prefix(loader::MODULE)
            .is_some_and(|rest| rest == ".ko" || rest.starts_with(".ko."))
    })
}

/// A loader for a release, wherever it comes from. A user that may not read the levels sees only
/// those of packages.
pub(crate) fn any(system: &System, release: &str) -> Option<PathBuf> {
    of_package(system, release)
        .or_else(|| {
            let state = State::read(system).ok()?;
            let of_release = state.verified.into_iter().rev();
            let mut of_release = of_release.filter(|level| level.release == release);
            of_release.find_map(|level| existing(system, &level))
        })
        .or_else(|| {
            let path = format!("{}/{release}/{}.ko", level::FOLDER, loader::MODULE);
            Some(system.path(&path)).filter(|path| path.exists())
        })
}

/// The stored loader of a level, if there is one.
fn existing(system: &System, level: &Verified) -> Option<PathBuf> {
    level.loader.as_ref().filter(|_| level.stored)?;
    let path = store::loader_path(system, level.level, &level.release);
    path.exists().then_some(path)
}

/// The loader of a level that is about to be verified. If it has run here, `State` knows that.
pub(crate) fn of_level(
    system: &System,
    level: Number,
    release: &str,
) -> Result<Option<StoredLoader>> {
    let path = store::loader_path(system, level, release);
    let bytes = match std::fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        bytes => bytes.map_err(on_file(&path))?,
    };
    Ok(Some(StoredLoader {
        build_id: ModuleFile::parse(&path, &bytes)?.build_id,
        sha256: Digest::of(&bytes),
        proven: false,
    }))
}

/// The verified levels of the running kernel that may be used: their files are as they were, nobody
/// has blocked or quarantined them, and they are not in `failed`.
pub(crate) fn usable(
    system: &System,
    state: &State,
    blocked: &[Number],
    not_booted: &[String],
    failed: &[Number],
) -> Vec<Verified> {
    let (release, build_id) = (system.release(), system.kernel_build_id());
    let stored = state.stored(&release, build_id.as_deref());
    let usable = stored.filter(|level| {
        let nr = level.level;
        !state.revoked.contains(&nr)
            && !blocked.contains(&nr)
            && !failed.contains(&nr)
            && !state.is_quarantined(nr)
            && !not_booted.contains(&level.patch)
            && store::damage(system, level).is_none()
    });
    usable.cloned().collect()
}

/// The best of some levels. A level whose loader has run here goes first, because a new loader may
/// be what has failed. If a package has the loader, the loaders of levels make no difference.
pub(crate) fn best(levels: Vec<Verified>, is_packaged: bool) -> Option<Verified> {
    levels
        .into_iter()
        .max_by_key(|level| (level.has_proven_loader() && !is_packaged, level.level))
}

/// The level whose loader is loaded for patches that belong to no level. The loaders of the levels
/// in `failed` were refused. A policy that cannot be read blocks no loader.
pub(crate) fn for_other_patches(
    system: &System,
    state: &State,
    not_booted: &[String],
    failed: &[Number],
) -> Option<Verified> {
    let blocked = policy_file::read(system).map_or_else(|_| Vec::new(), |policy| policy.blocked);
    let mut levels = usable(system, state, &blocked, not_booted, failed);
    levels.retain(|level| level.loader.is_some());
    best(levels, false)
}
