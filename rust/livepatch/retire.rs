// SPDX-License-Identifier: GPL-2.0

//! Releasing the patches that have left the registry: first their modules, then their directories.

use crate::{
    directory::PatchDirectory,
    events::{
        Event,
        State, //
    },
    patch::Patch, //
};
use kernel::prelude::*;
use kernel_ext::{
    ftrace_switch::FtraceEnabled,
    klp::CallbackToken,
    rcu, //
};

/// A patch that has left the registry.
struct Retired {
    patch: Patch,
    directory: PatchDirectory,
    /// Whether tasks were forced: some task may still run the patch's code.
    forced: bool,
}

/// The patches that have left the registry and still hold their modules.
///
/// They are released with the registry unlocked, because the files in their directories take the
/// registry's lock.
#[must_use = "pass this to registry::release() with the registry unlocked"]
pub(crate) struct RetiredPatches {
    patches: KVec<Retired>,
    /// The guard that kept ftrace enabled for the registry, if its last patch is among `patches`.
    ftrace_on: Option<FtraceEnabled>,
}

impl RetiredPatches {
    /// Returns an empty list without room; see [`reserve`](Self::reserve).
    pub(crate) fn empty() -> Self {
        Self::with_room(KVec::new())
    }

    /// Returns an empty list with room for one patch.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn for_one() -> Result<Self> {
        Ok(Self::with_room(KVec::with_capacity(1, GFP_KERNEL)?))
    }

    fn with_room(patches: KVec<Retired>) -> Self {
        Self {
            patches,
            ftrace_on: None,
        }
    }

    /// Whether there is nothing to release.
    pub(crate) fn is_empty(&self) -> bool {
        self.patches.is_empty() && self.ftrace_on.is_none()
    }

    /// Makes room for `count` more patches.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn reserve(&mut self, count: usize) -> Result {
        Ok(self.patches.reserve(count, GFP_KERNEL)?)
    }

    /// Adds `patch` and its directory. The caller has reserved the room.
    pub(crate) fn add(
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
        patch.desc.empty_lists(callbacks);
        // The caller has reserved the room. Without room, this would drop the directory with the
        // registry locked. The drop waits for the readers of the files, which may wait for that
        // lock.
        let _ = self.patches.push_within_capacity(Retired {
            patch,
            directory,
            forced,
        });
    }

    /// Keeps ftrace from being switched off until the patches are released.
    ///
    /// `ftrace_on` is the registry's guard. If it is `None`, the list may have a guard already, and
    /// keeps it. The registry and the list never both have one: see
    /// [`take_ftrace`](Self::take_ftrace).
    pub(crate) fn hold_ftrace_until_release(&mut self, ftrace_on: Option<FtraceEnabled>) {
        if ftrace_on.is_some() {
            self.ftrace_on = ftrace_on;
        }
    }

    /// Returns the guard that keeps ftrace enabled. The registry needs it when a patch is added
    /// before the list is released.
    pub(crate) fn take_ftrace(&mut self) -> Option<FtraceEnabled> {
        self.ftrace_on.take()
    }

    /// Puts the references to the modules and removes the directories. Returns the number of
    /// patches.
    ///
    /// First waits for the tasks in ftrace's trampolines. The reference to a module is put before
    /// the directory is removed: to user space, the removal of the directory is the sign that the
    /// module can be unloaded.
    ///
    /// # Context
    ///
    /// Process context, with the registry unlocked. May sleep.
    pub(crate) fn release(mut self) -> usize {
        if self.patches.is_empty() {
            return 0;
        }
        let count = self.patches.len();
        drop(self.ftrace_on.take());
        rcu::synchronize_tasks();
        for retired in self.patches {
            let Retired {
                mut patch,
                directory,
                forced,
            } = retired;
            let took_us = patch.last_transition.map_or(0, |ended| ended.took_us);
            if forced {
                pr_notice!(
                    "patch '{}': its module cannot be unloaded, because tasks were forced\n",
                    patch.name()
                );
                patch.desc.pin();
                if let Some(stall) = patch.stall.take() {
                    stall.keep();
                }
            } else {
                #[expect(unsafe_code, reason = "types cannot express which code runs")]
                // SAFETY: The patch has left the registry, so each task is in a universe without
                // the patch, and no view has its replacements. No task was forced. The wait above
                // was for tasks on the way to a replacement. No other thread changes the
                // relocations: `directory` still exists, which keeps the module from enabling the
                // patch again.
                unsafe {
                    patch.clear_relocations();
                }
                drop(patch);
            }
            // The directory does not use the module, which may be unloaded by now.
            directory.report(Event::Leave, State::Disabled, took_us);
            drop(directory);
        }
        count
    }
}
