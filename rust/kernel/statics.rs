// SPDX-License-Identifier: GPL-2.0

//! A lock in a `static` that lives as long as the module.

use crate::atomic::{AtomicPtr, AtomicUsize, Ordering};
use core::{
    marker::PhantomData,
    ops::{Deref, DerefMut},
    ptr::null_mut,
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{lock::mutex::MutexBackend, lock::Guard, Mutex},
    time::{delay::fsleep, Delta},
};

/// A [`Mutex`] for a `static`, made at module load and dropped at unload.
///
/// # Invariants
///
/// `mutex` is null, or came from a pinned box that [`MutexOwner`] alone frees, when it has made this null
/// and has seen no [`User`] then.
pub struct ModuleMutex<T> {
    mutex: AtomicPtr<Mutex<T>>,
    users: AtomicUsize,
    /// Shared by threads as a mutex is.
    _is: PhantomData<Mutex<T>>,
}

impl<T> ModuleMutex<T> {
    /// Without a value yet.
    pub const fn new() -> Self {
        Self {
            mutex: AtomicPtr::new(null_mut()),
            users: AtomicUsize::new(0),
            _is: PhantomData,
        }
    }

    /// Puts the value in. The returned value takes it out when dropped. Context: may sleep.
    ///
    /// # Errors
    ///
    /// `EBUSY` if there is one already, `ENOMEM`.
    pub fn init(&'static self, value: T) -> Result<MutexOwner<T>> {
        let mutex = KBox::pin_init(new_mutex!(value, "rust_livepatch"), GFP_KERNEL)?;
        // SAFETY: What the pointer leads to is not moved before it is dropped.
        let mutex = KBox::into_raw(unsafe { Pin::into_inner_unchecked(mutex) });
        // ORDERING: Release, pairs with Acquire in `lock()`; Relaxed where nothing is done.
        let swapped =
            self.mutex
                .compare_exchange(null_mut(), mutex, Ordering::Release, Ordering::Relaxed);
        if swapped.is_err() {
            // SAFETY: From a box, just now.
            drop(unsafe { Pin::new_unchecked(KBox::from_raw(mutex)) });
            return Err(EBUSY);
        }
        Ok(MutexOwner(self))
    }

    /// Locks. Context: may sleep.
    ///
    /// # Errors
    ///
    /// `ENODEV` while the module is not initialised, or no longer.
    pub fn lock(&'static self) -> Result<Locked<T>> {
        let user = User::new(self);
        // ORDERING: Acquire, pairs with Release in `init()`. Behind the count of users, which is fully
        // ordered like the swap in `MutexOwner::drop()`: this finds null, or that finds the user.
        let mutex = self.mutex.load(Ordering::Acquire);
        // SAFETY: By the type invariant null, or valid as long as there is a user.
        match unsafe { mutex.as_ref() } {
            Some(mutex) => Ok(Locked {
                inside: mutex.lock(),
                _user: user,
            }),
            None => Err(ENODEV),
        }
    }
}

impl<T> Default for ModuleMutex<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Keeps the mutex from being freed.
struct User<T: 'static>(&'static ModuleMutex<T>);

impl<T> User<T> {
    fn new(of: &'static ModuleMutex<T>) -> Self {
        // ORDERING: SeqCst, see `ModuleMutex::lock()`.
        of.users.fetch_add(1, Ordering::SeqCst);
        Self(of)
    }
}

impl<T> Drop for User<T> {
    fn drop(&mut self) {
        // ORDERING: Release, pairs with Acquire in `MutexOwner::drop()`.
        self.0.users.fetch_sub(1, Ordering::Release);
    }
}

/// The value, locked. Fields in the order in which they are let go.
pub struct Locked<T: 'static> {
    inside: Guard<'static, T, MutexBackend>,
    _user: User<T>,
}

impl<T> Deref for Locked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inside
    }
}

impl<T: Unpin> DerefMut for Locked<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inside
    }
}

/// Shows that a [`ModuleMutex`] has its value. Context of the drop: may sleep, and waits until nobody
/// has the lock or wants it.
pub struct MutexOwner<T: 'static>(&'static ModuleMutex<T>);

impl<T> Drop for MutexOwner<T> {
    fn drop(&mut self) {
        // ORDERING: SeqCst, see `ModuleMutex::lock()`.
        let mutex = self.0.mutex.swap(null_mut(), Ordering::SeqCst);
        // ORDERING: Acquire, pairs with Release in `User::drop()`.
        while self.0.users.load(Ordering::Acquire) != 0 {
            fsleep(Delta::from_millis(1));
        }
        // SAFETY: From a box, in `init()`; by now nobody has it any more.
        drop(unsafe { Pin::new_unchecked(KBox::from_raw(mutex)) });
    }
}
