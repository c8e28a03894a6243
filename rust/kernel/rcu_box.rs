// SPDX-License-Identifier: GPL-2.0

//! A pointer that is read under RCU and replaced as a whole.
//!
//! C header: [`include/linux/rcupdate.h`](srctree/include/linux/rcupdate.h)

use crate::atomic::{
    AtomicPtr,
    Ordering, //
};
use core::{
    marker::PhantomData,
    ptr, //
};
use kernel::{
    bindings,
    prelude::*,
    sync::rcu, //
};

/// A kind of read-side sections, and the wait for them.
///
/// # Safety
///
/// When [`synchronize`](Self::synchronize) returns, each section that had a [`Proof`](Self::Proof)
/// when it was called has ended.
pub unsafe trait Domain {
    /// The proof that the code runs in such a section.
    type Proof<'a>;

    /// Waits for the end of each section that is in progress.
    ///
    /// # Context
    ///
    /// Process context, sleeps.
    fn synchronize();
}

/// RCU itself.
pub enum Rcu {}

// SAFETY: A guard exists in a read-side critical section, for which synchronize_rcu() waits.
unsafe impl Domain for Rcu {
    type Proof<'a> = rcu::Guard;

    fn synchronize() {
        // SAFETY: The function only requires a context that may sleep.
        unsafe { bindings::synchronize_rcu() }
    }
}

/// An owned value that is read in the sections of a [`Domain`].
///
/// # Invariants
///
/// `ptr` is null or was returned by [`KBox::into_raw`]. When `ptr` no longer points to a value, the
/// owner of the value calls [`Domain::synchronize`], and then frees the value.
///
/// # Context
///
/// The drop: process context, sleeps for a grace period if there is a value.
///
/// # Examples
///
/// ```
/// use kernel::sync::rcu;
/// use kernel_ext::rcu_box::RcuBox;
///
/// static LIMIT: RcuBox<u32> = RcuBox::empty();
///
/// // Waits for the readers of the old value, and frees it.
/// drop(LIMIT.publish(Some(KBox::new(10, GFP_KERNEL)?)));
///
/// let guard = rcu::read_lock();
/// assert_eq!(LIMIT.read(&guard).copied(), Some(10));
/// # Ok::<(), Error>(())
/// ```
pub struct RcuBox<T, D: Domain = Rcu> {
    ptr: AtomicPtr<T>,
    _owns: PhantomData<KBox<T>>,
    _domain: PhantomData<fn() -> D>,
}

// SAFETY: Readers on any CPU share the value, and the thread that replaces a value drops it.
unsafe impl<T: Send + Sync, D: Domain> Sync for RcuBox<T, D> {}

impl<T, D: Domain> RcuBox<T, D> {
    /// Makes a cell without a value.
    pub const fn empty() -> Self {
        Self {
            ptr: AtomicPtr::new(ptr::null_mut()),
            _owns: PhantomData,
            _domain: PhantomData,
        }
    }

    /// Returns the current value.
    ///
    /// # Context
    ///
    /// Any. Inlines to a load, which ftrace cannot trace.
    #[inline(always)]
    pub fn read<'a>(&'a self, _proof: &'a D::Proof<'_>) -> Option<&'a T> {
        // ORDERING: Acquire, pairs with the swap in `publish()`: a reader that sees the pointer
        // sees the value that it points to.
        let ptr = self.ptr.load(Ordering::Acquire);
        // SAFETY: By the type invariant the value lives until `Domain::synchronize` has returned,
        // and `_proof` shows that it cannot return while the reference is in use.
        unsafe { ptr.as_ref() }
    }

    /// Replaces the value. The old value is freed when the returned [`Retired`] is dropped.
    ///
    /// # Context
    ///
    /// Any. The drop of the returned value may sleep.
    pub fn publish(&self, new: Option<KBox<T>>) -> Retired<T, D> {
        let new = new.map_or(ptr::null_mut(), KBox::into_raw);
        // ORDERING: AcqRel. Release pairs with the load in `read()`. Acquire pairs with the Release
        // of the swap that stored the old value, which this thread is about to drop.
        let old = self.ptr.swap(new, Ordering::AcqRel);
        let old = if old.is_null() {
            None
        } else {
            // SAFETY: By the type invariant `KBox::into_raw` returned the pointer; the swap made
            // this thread its only owner.
            Some(unsafe { KBox::from_raw(old) })
        };
        Retired(old, PhantomData)
    }
}

impl<T, D: Domain> Drop for RcuBox<T, D> {
    fn drop(&mut self) {
        drop(self.publish(None));
    }
}

/// A replaced value that readers may still use. The drop waits for them and frees the value.
///
/// # Context
///
/// The drop: process context, sleeps for a grace period.
#[must_use = "dropping this at once waits for a grace period"]
pub struct Retired<T, D: Domain>(Option<KBox<T>>, PhantomData<fn() -> D>);

impl<T, D: Domain> Drop for Retired<T, D> {
    fn drop(&mut self) {
        if self.0.is_some() {
            D::synchronize();
        }
    }
}
