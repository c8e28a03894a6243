// SPDX-License-Identifier: GPL-2.0

//! A pointer that is read under RCU and replaced as a whole.
//!
//! C header: [`include/linux/rcupdate.h`](srctree/include/linux/rcupdate.h)

use crate::atomic::{
    AtomicPtr,
    AtomicUsize,
    Ordering, //
};
use core::{
    marker::PhantomData,
    ptr, //
};
use kernel::{
    bindings,
    prelude::*,
    sync::rcu,
    time::{
        delay::fsleep,
        Delta, //
    },
    types::NotThreadSafe, //
};

/// The proof that the code runs in a section that [`synchronize`] waits for. On a CPU that RCU
/// watches, that is an RCU read-side critical section, or a section with preemption or interrupts
/// off (`synchronize_rcu()` in `kernel/rcu/tree.c`). On any CPU, an [`UnwatchedSection`] is such a
/// section, too.
///
/// A section is part of one thread, so the proof must not move to another.
pub struct ReadSide<'a>(PhantomData<&'a ()>, NotThreadSafe);

impl ReadSide<'_> {
    /// Makes the proof without a guard.
    ///
    /// # Safety
    ///
    /// For as long as the returned value lives, preemption, interrupts or both are off. Also, RCU
    /// watches this CPU, which is online (`rcu_is_watching()` in `kernel/rcu/tree.c`), or an
    /// [`UnwatchedSection`] of this CPU exists.
    pub unsafe fn assume<'a>() -> ReadSide<'a> {
        ReadSide(PhantomData, NotThreadSafe)
    }
}

impl<'a> From<&'a rcu::Guard> for ReadSide<'a> {
    fn from(_: &'a rcu::Guard) -> Self {
        ReadSide(PhantomData, NotThreadSafe)
    }
}

/// An owned value that is read under RCU.
///
/// # Invariants
///
/// `ptr` is null or was returned by [`KBox::into_raw`]. A value is not freed before a grace period
/// has passed since `ptr` last pointed to it.
///
/// # Examples
///
/// ```
/// use kernel::sync::rcu;
/// use kernel_ext::rcu::{
///     RcuBox,
///     ReadSide, //
/// };
///
/// static LIMIT: RcuBox<u32> = RcuBox::empty();
///
/// // Waits for the readers of the old value, and frees it.
/// drop(LIMIT.publish(Some(KBox::new(10, GFP_KERNEL)?)));
///
/// let guard = rcu::read_lock();
/// let limit = LIMIT.read(&ReadSide::from(&guard)).copied();
/// assert_eq!(limit, Some(10));
/// # Ok::<(), Error>(())
/// ```
pub struct RcuBox<T> {
    ptr: AtomicPtr<T>,
    _owns: PhantomData<KBox<T>>,
}

// SAFETY: Readers on any CPU share the value, and the thread that replaces a value drops it.
unsafe impl<T: Send + Sync> Sync for RcuBox<T> {}

impl<T> RcuBox<T> {
    /// Makes a cell without a value.
    pub const fn empty() -> Self {
        Self {
            ptr: AtomicPtr::new(ptr::null_mut()),
            _owns: PhantomData,
        }
    }

    /// Returns the current value.
    ///
    /// # Context
    ///
    /// Any. Inlines to a load, which ftrace cannot trace.
    #[inline(always)]
    pub fn read<'a>(&'a self, _proof: &'a ReadSide<'_>) -> Option<&'a T> {
        // ORDERING: Acquire, pairs with the swap in `publish()`: a reader that sees the pointer
        // sees the value that it points to.
        let ptr = self.ptr.load(Ordering::Acquire);
        // SAFETY: By the type invariant the value lives until a grace period has passed, and
        // `_proof` shows that none can end while the reference is in use.
        unsafe { ptr.as_ref() }
    }

    /// Replaces the value. The old value is freed when the returned [`Retired`] is dropped.
    ///
    /// # Context
    ///
    /// Any. The drop of the returned value may sleep.
    pub fn publish(&self, new: Option<KBox<T>>) -> Retired<T> {
        let new = new.map_or(ptr::null_mut(), KBox::into_raw);
        // ORDERING: AcqRel. Release pairs with the load in `read()`. Acquire pairs with the Release
        // of the swap that stored the old value, which this thread is about to drop.
        let old = self.ptr.swap(new, Ordering::AcqRel);
        Retired(if old.is_null() {
            None
        } else {
            // SAFETY: By the type invariant `KBox::into_raw` returned the pointer; the swap made
            // this thread its only owner.
            Some(unsafe { KBox::from_raw(old) })
        })
    }
}

/// A replaced value that readers may still use. The drop waits for them and frees the value.
///
/// # Context
///
/// The drop: process context, sleeps for a grace period.
#[must_use = "dropping this at once waits for a grace period"]
pub struct Retired<T>(Option<KBox<T>>);

impl<T> Drop for Retired<T> {
    fn drop(&mut self) {
        if self.0.is_some() {
            synchronize();
        }
    }
}

/// The number of [`UnwatchedSection`]s that exist.
static UNWATCHED: AtomicUsize = AtomicUsize::new(0);

/// A section that [`synchronize`] waits for although RCU does not watch the CPU, or the CPU is not
/// online.
///
/// Such a section is rare and short: code that runs there is noinstr, except for a part of the code
/// that brings a CPU online or takes it offline. So one counter for all CPUs is enough.
pub struct UnwatchedSection(NotThreadSafe);

impl UnwatchedSection {
    /// Enters the section.
    ///
    /// # Context
    ///
    /// Any. Inlines to an atomic addition, which ftrace cannot trace.
    #[inline(always)]
    pub fn enter() -> Self {
        // ORDERING: SeqCst, pairs with the read in `wait_for_unwatched()`. That read finds this
        // section, or this section sees what was published before that read.
        UNWATCHED.fetch_add(1, Ordering::SeqCst);
        Self(NotThreadSafe)
    }
}

impl Drop for UnwatchedSection {
    #[inline(always)]
    fn drop(&mut self) {
        // ORDERING: Release, pairs with the read in `wait_for_unwatched()`: memory that the section
        // has read is freed later.
        UNWATCHED.fetch_sub(1, Ordering::Release);
    }
}

/// Waits for the end of every read-side critical section and every [`UnwatchedSection`] that is in
/// progress.
///
/// The grace period is expedited, because an operator waits for it, a few times in a transition.
///
/// # Context
///
/// Process context, sleeps.
pub fn synchronize() {
    // SAFETY: The function only requires a context that may sleep.
    unsafe { bindings::synchronize_rcu_expedited() }
    wait_for_unwatched();
}

fn wait_for_unwatched() {
    // ORDERING: SeqCst, pairs with the additions of `UnwatchedSection`. The addition of 0 is a read
    // that is ordered after the caller's earlier stores.
    while UNWATCHED.fetch_add(0, Ordering::SeqCst) != 0 {
        fsleep(Delta::from_millis(1));
    }
}

/// Waits until every task has left the CPU voluntarily or was seen in user mode. That includes
/// exiting tasks that have left the task list.
///
/// When this returns, no task is preempted in an ftrace trampoline that the task entered before the
/// call. This does not wait for tasks that sleep (`rcu_tasks_is_holdout()` in
/// `kernel/rcu/tasks.h`).
///
/// # Context
///
/// Process context, sleeps for tens of milliseconds or longer.
pub fn synchronize_tasks() {
    // SAFETY: The function only requires a context that may sleep.
    unsafe { bindings::synchronize_rcu_tasks() }
}
