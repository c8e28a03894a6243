// SPDX-License-Identifier: GPL-2.0

//! A lock in a `static` that lives as long as the module.

use crate::atomic::{AtomicPtr, Ordering};
use core::ptr::null_mut;
use kernel::{
    new_mutex,
    prelude::*,
    sync::{lock::mutex::MutexBackend, lock::Guard, Mutex}, //
};

/// A [`Mutex`] for a `static`, made at module load and dropped at unload.
///
/// # Invariants
///
/// `mutex` is null, or came from a pinned box and is freed by [`Filled`] alone.
pub struct ModuleMutex<T> {
    mutex: AtomicPtr<Mutex<T>>,
}

impl<T> ModuleMutex<T> {
    /// Without a value yet.
    pub const fn new() -> Self {
        Self {
            mutex: AtomicPtr::new(null_mut()),
        }
    }

    /// Puts the value in. The returned value takes it out when dropped, at which time nobody may
    /// hold or wait for the lock: the module has no user left. Context: may sleep.
    ///
    /// # Errors
    ///
    /// `EBUSY` if there is one already, `ENOMEM`.
    pub fn fill(&'static self, value: T) -> Result<Filled<T>> {
        // ORDERING: Relaxed; module init is the only one that fills.
        if !self.mutex.load(Ordering::Relaxed).is_null() {
            return Err(EBUSY);
        }
        let mutex = KBox::pin_init(new_mutex!(value, "rust_livepatch"), GFP_KERNEL)?;
        // SAFETY: What the pointer leads to is not moved before it is dropped.
        let mutex = KBox::into_raw(unsafe { Pin::into_inner_unchecked(mutex) });
        // ORDERING: Release, pairs with Acquire in `lock()`.
        self.mutex.store(mutex, Ordering::Release);
        Ok(Filled(self))
    }

    /// Locks. Context: may sleep.
    ///
    /// # Errors
    ///
    /// `ENODEV` while the module is not initialised, or no longer.
    pub fn lock(&'static self) -> Result<Guard<'static, T, MutexBackend>> {
        // ORDERING: Acquire, pairs with Release in `fill()`.
        let mutex = self.mutex.load(Ordering::Acquire);
        // SAFETY: By the type invariant null or valid; `Filled` is dropped when nobody is left to
        // lock.
        match unsafe { mutex.as_ref() } {
            Some(mutex) => Ok(mutex.lock()),
            None => Err(ENODEV),
        }
    }
}

impl<T> Default for ModuleMutex<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Shows that a [`ModuleMutex`] has its value.
pub struct Filled<T: 'static>(&'static ModuleMutex<T>);

impl<T> Drop for Filled<T> {
    fn drop(&mut self) {
        // ORDERING: Relaxed; see `fill()`: nobody else is left.
        let mutex = self.0.mutex.swap(null_mut(), Ordering::Relaxed);
        // SAFETY: From a box, in `fill()`, and out of use.
        drop(unsafe { Pin::new_unchecked(KBox::from_raw(mutex)) });
    }
}
