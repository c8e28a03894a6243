// SPDX-License-Identifier: GPL-2.0

//! System states: the changes that patches make to data and to the system, not only to code. A new
//! patch must be able to take them over.
//!
//! See `Documentation/livepatch/system-state.rst` in the kernel.

use crate::{
    patch::Patch,
    step::PatchId, //
};
use kernel::{
    prelude::*,
    sync::rcu, //
};
use kernel_ext::{
    klp::{
        PatchDesc,
        StatePtr, //
    },
    rcu::{
        RcuBox,
        ReadSide, //
    }, //
};

/// Checks that `new` can take over each state of `patches`.
///
/// A patch that replaces all others must list each of their states. The version of a state that a
/// patch lists must not be older than the version in use.
///
/// # Errors
///
/// `EINVAL`, with a line in the log.
pub(crate) fn check_compatible<'a>(
    patches: impl Iterator<Item = &'a Patch>,
    new: &Patch,
) -> Result {
    for patch in patches {
        for (id, version) in patch.desc.states() {
            let known = new.desc.states().find(|&(other, _)| other == id);
            let fits = match known {
                Some((_, new_version)) => new_version >= version,
                None => !new.replace,
            };
            if !fits {
                pr_err!(
                    "Livepatch patch ({}) is not compatible with the already installed livepatches.\n",
                    new.name()
                );
                return Err(EINVAL);
            }
        }
    }
    Ok(())
}

/// The patches that have states and are older than the patch in transition, oldest first.
///
/// Callbacks look up states while their own thread holds the registry's lock, so they cannot take
/// that lock.
static PREVIOUS: RcuBox<KVec<PatchDesc>> = RcuBox::empty();

/// Lets [`previous`] find the states of the patches that are older than the patch in transition.
///
/// It lives as long as callbacks of the transition can run, and is dropped before the first of
/// these patches is released.
///
/// # Context
///
/// The drop may sleep.
pub(crate) struct PreviousStates;

impl PreviousStates {
    /// Publishes the patches that are older than `newest`. `patches` are in order, oldest first.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn publish<'a>(
        patches: impl Iterator<Item = &'a Patch>,
        newest: PatchId,
    ) -> Result<Self> {
        let mut previous = KVec::new();
        for patch in patches.take_while(|patch| patch.id != newest) {
            if patch.desc.states().next().is_some() {
                previous.push(patch.desc.clone(), GFP_KERNEL)?;
            }
        }
        if !previous.is_empty() {
            drop(PREVIOUS.publish(Some(KBox::new(previous, GFP_KERNEL)?)));
        }
        Ok(Self)
    }
}

impl Drop for PreviousStates {
    fn drop(&mut self) {
        drop(PREVIOUS.publish(None));
    }
}

/// Returns the newest state `id` of the patches that are older than the patch in transition.
///
/// The result stays valid while callbacks of the transition run.
///
/// # Context
///
/// Any.
pub(crate) fn previous(id: usize) -> Option<StatePtr> {
    let guard = rcu::read_lock();
    let proof = ReadSide::from(&guard);
    let patches = PREVIOUS.read(&proof)?;
    patches.iter().rev().find_map(|patch| patch.state(id))
}
