// SPDX-License-Identifier: GPL-2.0

//! A lock in a `static` that lives as long as the module.

use crate::atomic::{
    AtomicPtr,
    AtomicUsize,
    Ordering, //
};
use core::{
    marker::PhantomData,
    ops::{
        Deref,
        DerefMut, //
    },
    ptr::null_mut, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        lock::{
            mutex::MutexBackend,
            Guard, //
        },
        Mutex, //
    },
    time::{
        delay::fsleep,
        Delta, //
    }, //
};

/// A [`Mutex`] for a `static`. It is made when the module is loaded, and freed when the module is
/// unloaded.
///
/// # Invariants
///
/// `mutex` is null, or from a pinned box. Only [`MutexOwner`] frees that box, after it has stored
/// null here and then has seen no [`User`].
///
/// # Examples
///
/// ```
/// use kernel_ext::statics::ModuleMutex;
///
/// static COUNT: ModuleMutex<u32> = ModuleMutex::new();
///
/// // A module keeps the owner in its own structure. So the value is freed at the unload.
/// let owner = COUNT.init(0)?;
/// *COUNT.lock()? += 1;
/// drop(owner);
/// assert!(COUNT.lock().is_err());
/// # Ok::<(), Error>(())
/// ```
pub struct ModuleMutex<T> {
    mutex: AtomicPtr<Mutex<T>>,
    users: AtomicUsize,
    /// Makes this `Sync` if `Mutex<T>` is.
    _mutex_type: PhantomData<Mutex<T>>,
}

impl<T> ModuleMutex<T> {
    /// Makes a mutex that has no value yet.
    pub const fn new() -> Self {
        Self {
            mutex: AtomicPtr::new(null_mut()),
            users: AtomicUsize::new(0),
            _mutex_type: PhantomData,
        }
    }

    /// Stores the value, which can be locked from now on. Dropping the returned owner frees it.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the mutex has a value already; `ENOMEM`.
    pub fn init(&'static self, value: T) -> Result<MutexOwner<T>> {
        let mutex = KBox::pin_init(new_mutex!(value, "rust_livepatch"), GFP_KERNEL)?;
        // SAFETY: The mutex is not moved before it is dropped.
        let mutex = KBox::into_raw(unsafe { Pin::into_inner_unchecked(mutex) });
        // ORDERING: Release, pairs with Acquire in `lock()`. Relaxed on failure: nothing is read.
        let swapped =
            self.mutex
                .compare_exchange(null_mut(), mutex, Ordering::Release, Ordering::Relaxed);
        if swapped.is_err() {
            // SAFETY: From the box above.
            drop(unsafe { Pin::new_unchecked(KBox::from_raw(mutex)) });
            return Err(EBUSY);
        }
        Ok(MutexOwner(self))
    }

    /// Locks the mutex.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the mutex has no value: the module is being loaded or unloaded.
    pub fn lock(&'static self) -> Result<Locked<T>> {
        let user = User::new(self);
        // ORDERING: Acquire, pairs with Release in `init()`. The increment of `users` before it and
        // the swap in `MutexOwner::drop()` are fully ordered: this load finds null, or the drop
        // finds the user.
        let mutex = self.mutex.load(Ordering::Acquire);
        // SAFETY: By the type invariant the pointer is null, or valid for as long as `user` lives.
        match unsafe { mutex.as_ref() } {
            Some(mutex) => Ok(Locked {
                guard: mutex.lock(),
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

/// A user of the mutex, which keeps it from being freed.
struct User<T: 'static>(&'static ModuleMutex<T>);

impl<T> User<T> {
    fn new(mutex: &'static ModuleMutex<T>) -> Self {
        // ORDERING: SeqCst, see `ModuleMutex::lock()`.
        mutex.users.fetch_add(1, Ordering::SeqCst);
        Self(mutex)
    }
}

impl<T> Drop for User<T> {
    fn drop(&mut self) {
        // ORDERING: Release, pairs with Acquire in `MutexOwner::drop()`.
        self.0.users.fetch_sub(1, Ordering::Release);
    }
}

/// The locked value. The fields are in the order of their drop: first the lock, then the user.
pub struct Locked<T: 'static> {
    guard: Guard<'static, T, MutexBackend>,
    _user: User<T>,
}

impl<T> Deref for Locked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T: Unpin> DerefMut for Locked<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

/// The owner of the value of a [`ModuleMutex`]. The drop removes the value, waits until no thread
/// holds the lock or waits for it, and frees the value.
///
/// # Context
///
/// The drop may sleep.
pub struct MutexOwner<T: 'static>(&'static ModuleMutex<T>);

impl<T> Drop for MutexOwner<T> {
    fn drop(&mut self) {
        // ORDERING: SeqCst, see `ModuleMutex::lock()`.
        let mutex = self.0.mutex.swap(null_mut(), Ordering::SeqCst);
        // ORDERING: Acquire, pairs with Release in `User::drop()`.
        while self.0.users.load(Ordering::Acquire) != 0 {
            fsleep(Delta::from_millis(1));
        }
        // SAFETY: From a box in `init()`, and no user is left.
        drop(unsafe { Pin::new_unchecked(KBox::from_raw(mutex)) });
    }
}
