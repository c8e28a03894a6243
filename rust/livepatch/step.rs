// SPDX-License-Identifier: GPL-2.0

//! Which patch moves, and which patches each universe has then.

use crate::universe::Universe;

/// Names a patch for as long as the loader is loaded. Two patches never have the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PatchId(pub(crate) usize);

/// Which patch moves, and how the two universes differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// None: the universes are alike.
    Still,
    /// It is in the new universe alone.
    In(PatchId),
    /// It is alone in the new universe: all others go.
    Replacing(PatchId),
    /// It is in the old universe alone.
    Out(PatchId),
}

impl Move {
    /// Whether it is `patch` that moves.
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
