// SPDX-License-Identifier: GPL-2.0

//! Stand-in for `kernel_ext::atomic`: loom's atomics, which may give any value that the orderings
//! allow, and whose orderings can be taken away.

use crate::world::{self, Broken};
use loom::sync::atomic as loom_atomic;

pub(crate) use std::sync::atomic::Ordering;

fn weaken(order: Ordering) -> Ordering {
    match world::is(Broken::Orderings) {
        true => Ordering::Relaxed,
        false => order,
    }
}

/// `bias` is what was done through [`get_mut`](AtomicUsize::get_mut), before it was shared: loom has
/// no reference to hand out.
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

    /// Good for adding and subtracting, from 0.
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
        // The one flag of the loader is Records::freeze()'s.
        if !world::is(Broken::Freeze) {
            self.0.store(value, weaken(order));
        }
    }
}
