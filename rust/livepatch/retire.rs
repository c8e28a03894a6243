// SPDX-License-Identifier: GPL-2.0

//! Patches that go: their modules, and then their directories.

use crate::{
    directory::PatchDirectory,
    patch::Patch, //
};
use kernel::prelude::*;
use kernel_ext::{
    ftrace_switch::FtraceEnabled,
    klp::CallbackToken,
    rcu, //
};

struct Leaver {
    patch: Patch,
    directory: PatchDirectory,
    forced: bool,
}

/// Patches that no task uses any more, to be let go when the registry is no longer locked.
#[must_use = "pass it to registry::release() with the registry unlocked"]
pub(crate) struct RetiredPatches {
    leavers: KVec<Leaver>,
    /// The last of them leaves this.
    ftrace_on: Option<FtraceEnabled>,
}

impl RetiredPatches {
    /// No room yet.
    pub(crate) fn none() -> Self {
        Self::with_room(KVec::new())
    }

    /// Room for one. `ENOMEM`.
    pub(crate) fn for_one() -> Result<Self> {
        Ok(Self::with_room(KVec::with_capacity(1, GFP_KERNEL)?))
    }

    fn with_room(leavers: KVec<Leaver>) -> Self {
        Self {
            leavers,
            ftrace_on: None,
        }
    }

    /// Room for `count` more. `ENOMEM`.
    pub(crate) fn reserve(&mut self, count: usize) -> Result {
        Ok(self.leavers.reserve(count, GFP_KERNEL)?)
    }

    /// Takes `patch`, for which there is room, and its directory.
    pub(crate) fn take(
        &mut self,
        mut patch: Patch,
        directory: PatchDirectory,
        forced: bool,
        callbacks: &CallbackToken,
    ) {
        patch
            .objects
            .iter_mut()
            .for_each(|object| object.release(callbacks));
        // There is room, or it would be dropped here, with a directory whose files want the lock.
        let _ = self.leavers.push_within_capacity(Leaver {
            patch,
            directory,
            forced,
        });
    }

    /// Takes what held ftrace on for the last patch.
    pub(crate) fn hold_ftrace_until_release(&mut self, ftrace_on: Option<FtraceEnabled>) {
        self.ftrace_on = ftrace_on;
    }

    /// Waits for tasks in trampolines, gives the modules back, and removes the directories.
    ///
    /// In this order, patch by patch: a patch whose directory is gone can be unloaded. Returns how
    /// many patches there were. Context: may sleep; the registry is not locked.
    pub(crate) fn part(mut self) -> usize {
        if self.leavers.is_empty() {
            return 0;
        }
        let count = self.leavers.len();
        drop(self.ftrace_on.take());
        rcu::synchronize_tasks();
        for leaver in self.leavers {
            let Leaver {
                mut patch,
                directory,
                forced,
            } = leaver;
            match forced {
                true => {
                    pr_notice!(
                        "'{}': its module stays, as tasks were forced\n",
                        patch.name()
                    );
                    patch.desc.pin();
                }
                false => {
                    patch.clear_relocations();
                    drop(patch);
                }
            }
            // It has nothing of the module's.
            drop(directory);
        }
        count
    }
}
