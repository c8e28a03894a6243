// SPDX-License-Identifier: GPL-2.0

//! A level that has passed its checks: it is confirmed, stored, and loaded at boot.

use super::Run;
use crate::boot;
use crate::control;
use crate::digest::Digest;
use crate::failure::{
    on_file,
    Result, //
};
use crate::level::Number;
use crate::loader::{
    self,
    State, //
};
use crate::module_file::ModuleFile;
use crate::store::{
    self,
    Intent,
    Phase,
    StoredLoader,
    Verified, //
};
use crate::stored_loader;
use crate::units;

impl Run<'_> {
    /// Confirms the patch, stores the level as verified, and lets each boot load it.
    pub(super) fn finish(&mut self, mut intent: Intent) -> Result<()> {
        let Intent { level, patch, .. } = intent.clone();
        let state = match loader::patch(self.system, &patch)? {
            Some(loaded) if loaded.state == State::InEffect => State::InEffect,
            _ => match control::confirm(self.system, &patch) {
                Ok(state) => state,
                Err(failure) => {
                    let why = failure.why.unwrap_or(failure.what);
                    return Err(self.take_back(intent, &format!("it was not confirmed: {why}")));
                }
            },
        };
        if state != State::InEffect {
            let why = format!("after the confirmation its state is: {}", state.words());
            return Err(self.take_back(intent, &why));
        }
        self.view.patches = loader::patches(self.system)?;
        let stored = self.store_verified(&mut intent);
        let why = stored.as_ref().err().map(|failure| failure.what.clone());
        let result = if why.is_none() {
            "verified"
        } else {
            "confirmed"
        };
        self.end("apply", (level, &patch), result, why.as_deref());
        self.lines.push(match stored {
            Ok(()) => format!(
                "level {level}: {patch} is in effect and confirmed, and is loaded at each boot"
            ),
            Err(_) => format!(
                "level {level}: {patch} is in effect and confirmed, and that was not stored"
            ),
        });
        stored.and_then(|()| self.remove_intent())
    }

    /// Stores a level as verified, and lets each boot load it.
    fn store_verified(&mut self, intent: &mut Intent) -> Result<()> {
        let level = intent.level;
        let files =
            store::files_of(self.system, &self.view.release, intent).map_err(|failure| {
                // The next run checks the files of the package again.
                failure.also(self.remove_intent().err().map(|other| other.what))
            })?;
        intent.phase = Phase::Confirmed;
        intent.write(self.system)?;
        let bytes = std::fs::read(&files.patch).map_err(on_file(&files.patch))?;
        let module = ModuleFile::parse(&files.patch, &bytes)?;
        let now = self.view.now();
        let loader = stored_loader::of_level(self.system, level, &self.view.release)?;
        if let Some(loader) = &loader {
            self.note_loader(level, loader);
        }
        let verified = Verified {
            level,
            release: self.view.release.clone(),
            kernel_build_id: self.view.build_id.clone().unwrap_or_default(),
            patch: intent.patch.clone(),
            build_id: module.build_id.clone(),
            sha256: Digest::of(&bytes),
            time: now,
            stored: true,
            loader,
        };
        let blocked = self.view.blocked();
        self.view.state.verify(verified, &blocked);
        self.prove_loader()?;
        self.view.state.write(self.system)?;
        self.install_for_boot(level, &module)
    }

    /// Says that the loader of a level is not the one in the kernel.
    fn note_loader(&mut self, level: Number, loader: &StoredLoader) {
        let is_packaged = stored_loader::of_package(self.system, &self.view.release).is_some();
        if !is_packaged && loader.build_id != self.system.module_build_id(loader::MODULE) {
            self.lines.push(format!(
                "level {level}: another loader is loaded, and that of the level is loaded at the \
                 next boot"
            ));
        }
    }

    /// Notes that the loader in the kernel has run here, unless this boot may fail because of it.
    pub(super) fn prove_loader(&mut self) -> Result<()> {
        if boot::is_on_trial(self.system)? {
            return Ok(());
        }
        if let Some(build_id) = self.system.module_build_id(loader::MODULE) {
            self.view.state.prove_loader(&build_id);
        }
        Ok(())
    }

    /// Lets each boot load the level in effect, if the list of the boot has another one, or none. A
    /// boot may have loaded it in the place of a level that has failed. Or nothing could be written
    /// when it was applied.
    pub(super) fn keep_level_of_boot(&mut self) -> Result<()> {
        let Some((level, _)) = self.view.in_effect() else {
            return Ok(());
        };
        let Some(verified) = self.view.stored(level).cloned() else {
            return Ok(());
        };
        let installed = boot::installed(self.system, &verified.release)?;
        let mut others = self.view.state.verified.iter();
        let is_other = others.any(|other| {
            other.release == verified.release
                && other.patch != verified.patch
                && installed.contains(&other.patch)
        });
        if installed.contains(&verified.patch) && !is_other {
            return Ok(());
        }
        let path = store::stored_files(self.system, &verified)?.patch;
        self.install_for_boot(level, &ModuleFile::read(&path)?)?;
        self.lines
            .push(format!("level {level} is loaded at each boot from now on"));
        Ok(())
    }

    /// Lets each boot of this kernel load the patch, and no patch of another level.
    fn install_for_boot(&mut self, level: Number, module: &ModuleFile) -> Result<()> {
        let others = self.view.state.verified.iter().filter(|other| {
            other.level != level
                && other.release == module.release
                && other.patch != module.name
                && boot::is_stored(self.system, &other.release, &other.patch)
        });
        let others: Vec<_> = others.map(|other| other.patch.clone()).collect();
        if !others.is_empty() || !boot::is_installed(self.system, module)? {
            boot::install_in_place_of(self.system, module, &others)?;
        }
        if let Err(failure) = units::enable(self.system) {
            let why = failure.why.unwrap_or_default();
            self.lines.push(format!("{}: {why}", failure.what));
        }
        Ok(())
    }
}
