// SPDX-License-Identifier: GPL-2.0

//! The two universes of a transition.

/// A universe: the set of functions that a task calls while a transition runs.
///
/// The names are fixed when the transition starts. A reversal changes the target universe, not the
/// names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Universe {
    /// The functions that are called before the transition.
    Old = 0,
    /// The functions that are called after the transition.
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
