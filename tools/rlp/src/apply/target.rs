// SPDX-License-Identifier: GPL-2.0

//! The files of a level that is to be applied.

use super::Run;
use crate::failure::{
    Failure,
    Result, //
};
use crate::health::Before;
use crate::level::{
    self,
    Kernel,
    Number, //
};
use crate::module_file::ModuleFile;
use crate::policy::Source;
use crate::store::{
    self,
    Files,
    Intent,
    Phase, //
};
use crate::system::System;
use std::path::Path;

/// A level that is to be applied.
pub(super) struct Target {
    pub(super) module: ModuleFile,
    pub(super) files: Files,
}

impl Target {
    /// The intent of a run in this boot that begins with this phase.
    pub(super) fn intent(&self, system: &System, level: Number, phase: Phase) -> Result<Intent> {
        Ok(Intent {
            boot: system.boot_id(),
            level,
            phase,
            patch: self.module.name.clone(),
            build_id: self.module.build_id.clone(),
            before: Before::read(system),
            files: Some(self.files.hashes()?),
        })
    }
}

impl Run<'_> {
    /// Whether the level was verified here with other files than those of the package.
    fn is_verified_otherwise(&self, level: Number, entry: &Kernel) -> bool {
        self.view.stored(level).is_some_and(|verified| {
            let loader = verified.loader.as_ref();
            verified.sha256 != entry.patch.sha256
                || loader.is_some_and(|loader| loader.sha256 != entry.loader.sha256)
        })
    }

    /// The files of a level, checked, and in the store. The stored files of a verified level are
    /// never replaced: the next boot may load them.
    pub(super) fn target(&self, level: Number, from: Source) -> Result<Target> {
        let files = match (from, self.view.entry()) {
            (Source::Package, Some(entry)) if !self.is_verified_otherwise(level, entry) => {
                let files = store::stage(self.system, level, entry)?;
                check_entry(&files.patch, level, entry)?;
                files
            }
            _ => {
                // The decision has found it in the same list.
                let verified = self.view.stored(level);
                let verified = verified
                    .ok_or_else(|| Failure::error(format!("level {level} is not stored")))?;
                store::stored_files(self.system, verified)?
            }
        };
        Ok(Target {
            module: ModuleFile::read(&files.patch)?,
            files,
        })
    }
}

/// Checks that a patch is the one that level.json describes.
pub(super) fn check_entry(path: &Path, level: Number, entry: &Kernel) -> Result<()> {
    let module = ModuleFile::read(path)?;
    let refused = |why: String| {
        Failure::refused(format!("{} is not the file of the level", path.display()))
            .why(why)
            .next("the publisher must build the level again")
    };
    if module.level_number() != Some(level) {
        let found = module.level.as_deref().unwrap_or("none");
        return Err(refused(format!(
            "the level of the patch is {found}, and {} has {level}",
            level::FILE
        )));
    }
    if module.name != entry.patch.name {
        let (found, wanted) = (&module.name, &entry.patch.name);
        return Err(refused(format!(
            "the name of the patch is {found}, and {} has {wanted}",
            level::FILE
        )));
    }
    if module.vermagic != entry.vermagic {
        return Err(refused(format!(
            "its vermagic is '{}', and {} has '{}'",
            module.vermagic,
            level::FILE,
            entry.vermagic
        )));
    }
    if entry.patch.build_id.is_some() && module.build_id != entry.patch.build_id {
        return Err(refused(format!(
            "its build id is another one than in {}",
            level::FILE
        )));
    }
    Ok(())
}
