// SPDX-License-Identifier: GPL-2.0

//! Stand-ins for the types of addresses in `kernel_ext::ftrace`.

use crate::atomic::{
    AtomicUsize,
    Ordering, //
};
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Site(pub(crate) usize);

impl Site {
    pub(crate) fn address(self) -> usize {
        self.0
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallTarget(usize);

impl CallTarget {
    /// The target at `address`; `None` for 0.
    pub(crate) fn at(address: usize) -> Option<Self> {
        (address != 0).then_some(Self(address))
    }

    pub(crate) fn address(self) -> usize {
        self.0
    }

    pub(crate) fn address_or_zero(target: Option<Self>) -> usize {
        target.map_or(0, Self::address)
    }
}

#[derive(Debug, Default)]
pub(crate) struct AtomicCallTarget(AtomicUsize);

impl AtomicCallTarget {
    pub(crate) fn new(target: Option<CallTarget>) -> Self {
        Self(AtomicUsize::new(CallTarget::address_or_zero(target)))
    }

    pub(crate) fn load(&self, order: Ordering) -> Option<CallTarget> {
        CallTarget::at(self.0.load(order))
    }

    pub(crate) fn clear(&self, order: Ordering) {
        self.0.store(0, order);
    }
}
