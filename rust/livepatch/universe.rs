// SPDX-License-Identifier: GPL-2.0

//! The two universes of a transition.
//!
//! The glossary in `Documentation/design.rst` defines the word.

/// One of the two universes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Universe {
    /// The universe of all tasks before the transition.
    Old = 0,
    /// The universe of all tasks after the transition, unless it is reversed.
    New = 1,
}

impl Universe {
    /// Returns the other universe.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Old => Self::New,
            Self::New => Self::Old,
        }
    }

    /// Returns the universe for the number that an atomic holds.
    #[inline(always)]
    pub(crate) const fn from_u8(raw: u8) -> Self {
        if raw & 1 == 0 {
            Self::Old
        } else {
            Self::New
        }
    }
}
