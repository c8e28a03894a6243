// SPDX-License-Identifier: GPL-2.0

//! The step of a transition: which patch it enables or disables, and which patches belong to each
//! universe.

use crate::universe::Universe;

/// The number of a patch. No two patches have the same number while the loader is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PatchId(pub(crate) usize);

/// The patch that is in transition, and the difference between the universes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// No patch is in transition: the universes are alike.
    None,
    /// The patch is in the new universe only.
    Enable(PatchId),
    /// The patch is in the new universe only, and all other patches are in the old universe only.
    Replace(PatchId),
    /// The patch is in the old universe only.
    Disable(PatchId),
    /// No patch is in transition, and the patch is alone in both universes. It has replaced all
    /// other patches, which are held until it is confirmed.
    Trial(PatchId),
    /// The patch is in the old universe only, and all other patches are in the new universe only:
    /// the patches that were held are in effect again.
    Restore(PatchId),
}

impl Step {
    /// Whether `patch` is the patch in transition.
    pub(crate) fn is_transition_of(self, patch: PatchId) -> bool {
        match self {
            Self::None | Self::Trial(_) => false,
            Self::Enable(id) | Self::Replace(id) | Self::Disable(id) | Self::Restore(id) => {
                id == patch
            }
        }
    }

    /// Whether `patch` belongs to `universe`.
    pub(crate) fn has(self, patch: PatchId, universe: Universe) -> bool {
        match (self, universe) {
            (Self::None, _) => true,
            (Self::Enable(id), Universe::Old) => patch != id,
            (Self::Enable(_), Universe::New) => true,
            (Self::Replace(id), Universe::Old) => patch != id,
            (Self::Replace(id), Universe::New) => patch == id,
            (Self::Disable(_), Universe::Old) => true,
            (Self::Disable(id), Universe::New) => patch != id,
            (Self::Trial(id), _) => patch == id,
            (Self::Restore(id), Universe::Old) => patch == id,
            (Self::Restore(id), Universe::New) => patch != id,
        }
    }
}
