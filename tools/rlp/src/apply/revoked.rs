// SPDX-License-Identifier: GPL-2.0

//! A level that was revoked: the level before replaces it, or its patch is unloaded.

use super::take_back::LEAVES;
use super::Run;
use crate::boot;
use crate::failure::Result;
use crate::interrupt;
use crate::level::Number;
use crate::loader::{
    self,
    State, //
};
use crate::policy::{
    Decision,
    Source, //
};
use crate::unload;
use crate::wait;

impl Run<'_> {
    /// A level that was revoked is not loaded at the next boot.
    pub(super) fn remove_revoked_from_boot(&mut self) -> Result<()> {
        let blocked = self.view.blocked();
        let revoked = self.view.state.verified.iter();
        let revoked: Vec<_> = revoked
            .filter(|verified| blocked.contains(&verified.level))
            .cloned()
            .collect();
        for old in revoked {
            if boot::has_file(self.system, &old.release, &old.patch, old.sha256)? {
                self.lines
                    .extend(boot::uninstall(self.system, &old.release, &old.patch)?);
                self.lines.push(format!(
                    "level {} is blocked, and is not loaded at boot any more",
                    old.level
                ));
            }
        }
        Ok(())
    }

    /// Takes back a level that was revoked: to the level before, or to none.
    pub(super) fn replace_revoked(
        &mut self,
        level: Number,
        to: Option<Number>,
        decision: &Decision,
    ) -> Result<()> {
        let Some((_, patch)) = self.view.in_effect() else {
            return Ok(());
        };
        let patch = patch.name.clone();
        self.begin("take-back", level, &patch, &decision.text());
        let result = match to {
            Some(to) => {
                let applied = self.apply_level(to, Source::Store);
                self.unload_after(applied, level, &patch)
            }
            None => self.unload_revoked(&patch),
        };
        let (result_words, why) = match &result {
            Ok(()) => ("taken back", None),
            Err(failure) => (failure.kind.words(), Some(failure.what.clone())),
        };
        self.end("take-back", (level, &patch), result_words, why.as_deref());
        result?;
        self.lines.push(match to {
            Some(to) => format!("level {level} was taken back, and level {to} is in effect"),
            None => format!("level {level} was taken back, and no level is in effect"),
        });
        Ok(())
    }

    /// A cumulative patch has replaced the revoked one. If the loader says that the revoked patch
    /// is in effect nevertheless, the other one has failed, or is not cumulative. In both cases the
    /// revoked one does not stay. But a run that was interrupted does nothing more.
    fn unload_after(&mut self, applied: Result<()>, level: Number, patch: &str) -> Result<()> {
        if applied.is_err() && interrupt::is_pending() {
            return applied;
        }
        let is_left = match loader::patch(self.system, patch) {
            Ok(old) => old.is_some_and(|old| old.state == State::InEffect),
            Err(failure) => return applied.and(Err(failure)),
        };
        if !is_left {
            return applied;
        }
        let unloaded = self.unload_revoked(patch);
        let Err(failure) = applied else {
            return unloaded;
        };
        if unloaded.is_ok() {
            self.lines.push(format!(
                "level {level} was taken back, and no level is in effect"
            ));
        }
        Err(failure.also(unloaded.err().map(|other| other.what)))
    }

    /// Unloads a patch even if it cannot be removed from the boot, because the disk is full.
    fn unload_revoked(&mut self, patch: &str) -> Result<()> {
        let removed = self.remove_from_boot(patch);
        let until = wait::deadline_after(LEAVES);
        let change = unload::unload(self.system, patch, None, until, self.progress)?;
        self.lines.extend(change.notes);
        removed
    }

    fn remove_from_boot(&mut self, patch: &str) -> Result<()> {
        let installed = boot::installed(self.system, &self.view.release)?;
        if installed.iter().any(|name| name == patch) {
            let note = boot::uninstall(self.system, &self.view.release, patch)?;
            self.lines.extend(note);
        }
        Ok(())
    }
}
