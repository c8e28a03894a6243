// SPDX-License-Identifier: GPL-2.0

//! The losses that a new level causes: fixes, functions, kernels and blocks that the level before
//! has, and the new one has not. A patch of a level replaces that of the level before, so a machine
//! loses what is left out. The machines with a kernel that is left out keep the level before,
//! unless the new level blocks it.

use crate::failure::{
    Failure,
    Result, //
};
use crate::level::{
    Kernel,
    Level, //
};

/// The losses that a new level causes, in words.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    /// A machine loses this when it applies the level.
    lost: Vec<String>,
    /// No machine loses this, or it is not known.
    noted: Vec<String>,
}

impl Losses {
    fn of_kernel(&mut self, before: &Level, old: &Kernel, level: &Level) {
        let (nr, release) = (before.level, &old.release);
        let Some(new) = level.kernel(release) else {
            // The machines with this kernel unload a level that is blocked.
            if level.blocked.contains(&nr) {
                return self.lost.push(format!(
                    "this level blocks level {nr}, which has a patch for {release}, and has none"
                ));
            }
            return self.noted.push(format!(
                "level {nr} has a patch for {release}, and this level has none"
            ));
        };
        let is_kept = |cve: &str| level.fixes_for(release).any(|fix| fix.cve == cve);
        let fixes = before.fixes_for(release);
        let fixes = fixes.filter(|fix| !is_kept(&fix.cve));
        self.lost.extend(fixes.map(|fix| {
            let cve = &fix.cve;
            format!("level {nr} fixes {cve} for {release}, and this level does not")
        }));
        let (Some(old), Some(new)) = (&old.patch.replaced, &new.patch.replaced) else {
            return self.noted.push(format!(
                "the functions for {release} were not compared with those of level {nr}: one of \
                 the patches has no proof"
            ));
        };
        let functions = old.iter().filter(|function| !new.contains(function));
        self.lost.extend(functions.map(|function| {
            format!("level {nr} replaces {function} for {release}, and this level does not")
        }));
    }

    pub(crate) fn of(before: &Level, level: &Level) -> Self {
        let mut losses = Self::default();
        for kernel in &before.kernels {
            losses.of_kernel(before, kernel, level);
        }
        let nr = before.level;
        let blocks = before.blocked.iter();
        let blocks = blocks.filter(|&&blocked| !level.blocked.contains(&blocked));
        losses.lost.extend(
            blocks.map(|blocked| {
                format!("level {nr} blocks level {blocked}, and this level does not")
            }),
        );
        losses
    }

    /// The words for the publisher. Without `are_wanted`, it is a failure if a machine loses
    /// anything.
    pub(crate) fn into_notes(self, are_wanted: bool) -> Result<Vec<String>> {
        if !self.lost.is_empty() && !are_wanted {
            return Err(Failure::refused("the level was not built")
                .why(self.lost.join("\n"))
                .next("build the patches with all of that; or, if it is wanted: --allow-losses"));
        }
        Ok([self.lost, self.noted].concat())
    }
}
