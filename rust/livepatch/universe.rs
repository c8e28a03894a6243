// SPDX-License-Identifier: GPL-2.0

//! The two universes of a transition.

/// Which set of functions a task calls while a transition runs.
///
/// The names are fixed when the transition starts; reversing it changes the target, not the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Universe {
    /// As before the transition.
    Old = 0,
    /// As the transition was started for.
    New = 1,
}

impl Universe {
    /// The other one.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Old => Self::New,
            Self::New => Self::Old,
        }
    }

    /// From the number that an atomic holds.
    #[inline(always)]
    pub(crate) const fn from_u8(raw: u8) -> Self {
        match raw & 1 {
            0 => Self::Old,
            _ => Self::New,
        }
    }
}
