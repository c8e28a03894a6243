// SPDX-License-Identifier: GPL-2.0

//! The step of a transition: which patch moves, and which patches belong to each universe.

use crate::universe::Universe;

/// The number of a patch. No two patches have the same number while the loader is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PatchId(pub(crate) usize);

/// Which patch moves, and how the universes differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// No patch moves: the universes are alike.
    Still,
    /// The patch is in the new universe only.
    In(PatchId),
    /// The patch is in the new universe only, and all other patches are in the old universe only.
    Replacing(PatchId),
    /// The patch is in the old universe only.
    Out(PatchId),
}

impl Move {
    /// Whether `patch` is the patch that moves.
    pub(crate) fn moves(self, patch: PatchId) -> bool {
        match self {
            Self::Still => false,
            Self::In(id) | Self::Replacing(id) | Self::Out(id) => id == patch,
        }
    }

    /// Whether `patch` belongs to `universe`.
    pub(crate) fn has(self, patch: PatchId, universe: Universe) -> bool {
        match (self, universe) {
            (Self::Still, _) => true,
            (Self::In(id), Universe::Old) => patch != id,
            (Self::In(_), Universe::New) => true,
            (Self::Replacing(id), Universe::Old) => patch != id,
            (Self::Replacing(id), Universe::New) => patch == id,
            (Self::Out(_), Universe::Old) => true,
            (Self::Out(id), Universe::New) => patch != id,
        }
    }
}
