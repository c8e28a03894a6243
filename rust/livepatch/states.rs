// SPDX-License-Identifier: GPL-2.0

//! System states: what patches changed beyond code, and whether a new one can take over.
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
/// A patch that replaces all others must know every state of theirs, and no patch may know an older
/// version of a state than is in use. `EINVAL`.
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

/// The patches with states that are older than the one that moves, oldest first.
///
/// Callbacks ask while their own thread has the registry locked, so the answer comes from here.
static PREVIOUS: RcuBox<KVec<PatchDesc>> = RcuBox::empty();

/// Shows the patches below one that moves to [`previous`], until it is dropped: for as long as
/// callbacks of the transition may be called, and before the first of these patches may go.
///
/// Context of the drop: may sleep.
pub(crate) struct PreviousStates;

impl PreviousStates {
    /// Of `patches`, oldest first, those before `moving`. `ENOMEM`.
    pub(crate) fn show<'a>(
        patches: impl Iterator<Item = &'a Patch>,
        moving: PatchId,
    ) -> Result<Self> {
        let mut below = KVec::new();
        for patch in patches.take_while(|patch| patch.id != moving) {
            if patch.desc.states().next().is_some() {
                below.push(patch.desc.clone(), GFP_KERNEL)?;
            }
        }
        if !below.is_empty() {
            drop(PREVIOUS.publish(Some(KBox::new(below, GFP_KERNEL)?)));
        }
        Ok(Self)
    }
}

impl Drop for PreviousStates {
    fn drop(&mut self) {
        drop(PREVIOUS.publish(None));
    }
}

/// The newest entry for `id` of the patches below the one that moves; `None` also if none moves.
///
/// Context: any; the entry stays while callbacks of the transition run.
pub(crate) fn previous(id: usize) -> Option<StatePtr> {
    let guard = rcu::read_lock();
    let proof = ReadSide::from(&guard);
    let below = PREVIOUS.read(&proof)?;
    below.iter().rev().find_map(|patch| patch.state(id))
}
