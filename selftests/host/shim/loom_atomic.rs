// SPDX-License-Identifier: GPL-2.0

//! Stand-in for `kernel_ext::atomic`, on loom's atomics. A load may return any value that the
//! orderings allow. A twin can weaken all orderings to Relaxed.

use crate::world::{self, Broken};
use loom::sync::atomic as loom_atomic;

pub(crate) use std::sync::atomic::Ordering;

fn weaken(order: Ordering) -> Ordering {
    if world::is(Broken::Orderings) {
        Ordering::Relaxed
    } else {
        order
    }
}

/// An atomic number. loom cannot return a reference to the value, so `bias` has the changes that
/// were made through [`get_mut`](AtomicUsize::get_mut) before the number was shared.
#[derive(Debug, Default)]
pub(crate) struct AtomicUsize {
    inner: loom_atomic::AtomicUsize,
    bias: usize,
}

impl AtomicUsize {
    pub(crate) fn new(value: usize) -> Self {
        Self {
            inner: loom_atomic::AtomicUsize::new(value),
            bias: 0,
        }
    }

    /// Returns a reference to the changes so far. A caller may only add to it or subtract from it.
    pub(crate) fn get_mut(&mut self) -> &mut usize {
        &mut self.bias
    }

    pub(crate) fn load(&self, order: Ordering) -> usize {
        self.inner.load(weaken(order)).wrapping_add(self.bias)
    }

    pub(crate) fn store(&self, value: usize, order: Ordering) {
        self.inner
            .store(value.wrapping_sub(self.bias), weaken(order));
    }

    pub(crate) fn fetch_sub(&self, value: usize, order: Ordering) -> usize {
        self.inner
            .fetch_sub(value, weaken(order))
            .wrapping_add(self.bias)
    }
}

#[derive(Debug, Default)]
pub(crate) struct AtomicU8(loom_atomic::AtomicU8);

impl AtomicU8 {
    pub(crate) fn new(value: u8) -> Self {
        Self(loom_atomic::AtomicU8::new(value))
    }

    pub(crate) fn load(&self, order: Ordering) -> u8 {
        self.0.load(weaken(order))
    }

    pub(crate) fn compare_exchange(
        &self,
        from: u8,
        to: u8,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u8, u8> {
        if world::is(Broken::SwitchTwice) {
            let now = self.load(failure);
            self.0.store(to, weaken(success));
            return if now == from { Ok(now) } else { Err(now) };
        }
        self.0.compare_exchange(from, to, weaken(success), failure)
    }
}

#[derive(Debug)]
pub(crate) struct AtomicBool(loom_atomic::AtomicBool);

impl AtomicBool {
    pub(crate) fn new(value: bool) -> Self {
        Self(loom_atomic::AtomicBool::new(value))
    }

    pub(crate) fn load(&self, order: Ordering) -> bool {
        self.0.load(weaken(order))
    }

    pub(crate) fn store(&self, value: bool, order: Ordering) {
        // The explored files have one flag: Records::freeze() sets it.
        if !world::is(Broken::Freeze) {
            self.0.store(value, weaken(order));
        }
    }
}
