// SPDX-License-Identifier: GPL-2.0

//! Stand-in for `kernel_ext::atomic`, on loom's atomics. A load may return any value that the
//! orderings allow. A twin can weaken all orderings to Relaxed.

use crate::world::{
    self,
    Broken, //
};
use loom::sync::atomic as loom_atomic;

/// The type of the blockers. It is not one of loom's types, so loom does not explore the accesses
/// to them. No test makes a claim about the blockers.
pub(crate) use std::sync::atomic::AtomicU32;
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

    pub(crate) fn fetch_add(&self, value: usize, order: Ordering) -> usize {
        self.inner
            .fetch_add(value, weaken(order))
            .wrapping_add(self.bias)
    }

    /// For numbers that [`get_mut`](Self::get_mut) did not change.
    pub(crate) fn compare_exchange(
        &self,
        from: usize,
        to: usize,
        success: Ordering,
        failure: Ordering,
    ) -> Result<usize, usize> {
        if world::is(Broken::SwitchTwice) {
            let now = self.load(failure);
            self.store(to, success);
            return if now == from { Ok(now) } else { Err(now) };
        }
        self.inner
            .compare_exchange(from, to, weaken(success), weaken(failure))
    }
}

/// A value that is set once. loom reports a reader that is not ordered after the store.
pub(crate) struct Cell<T>(std::cell::OnceCell<loom::cell::UnsafeCell<T>>);

impl<T> Default for Cell<T> {
    fn default() -> Self {
        Self(std::cell::OnceCell::new())
    }
}

impl<T> Cell<T> {
    pub(crate) fn set(&self, value: T) {
        let _ = self.0.set(loom::cell::UnsafeCell::new(value));
        if let Some(cell) = self.0.get() {
            // The store that loom sees.
            cell.with_mut(|_| ());
        }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        // SAFETY: The value is set once, and loom runs one thread at a time. loom reports a read
        // that is not ordered after the store.
        self.0
            .get()
            .map(|cell| cell.with(|value| unsafe { &*value }))
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
