// SPDX-License-Identifier: GPL-2.0

//! A pointer that is read under RCU and replaced as a whole.
//!
//! C header: [`include/linux/rcupdate.h`](srctree/include/linux/rcupdate.h)

use crate::atomic::{AtomicPtr, Ordering};
use core::{marker::PhantomData, ptr};
use kernel::{
    bindings,
    prelude::*,
    sync::rcu,
    types::NotThreadSafe, //
};

/// Proof that the code runs in a section that `synchronize_rcu()` waits for: an RCU read side, or
/// any stretch with preemption or interrupts off (`synchronize_rcu()` in `kernel/rcu/tree.c`), on a
/// CPU that RCU watches.
///
/// Such a section belongs to one CPU, so that the proof stays in the thread that made it.
pub struct ReadSide<'a>(PhantomData<&'a ()>, NotThreadSafe);

impl ReadSide<'_> {
    /// Claims such a section without a guard that shows it.
    ///
    /// # Safety
    ///
    /// Preemption, interrupts or both are off for as long as the returned value lives, and RCU
    /// watches this CPU (`rcu_is_watching()` in `kernel/rcu/tree.c`).
    pub unsafe fn assume<'a>() -> ReadSide<'a> {
        ReadSide(PhantomData, NotThreadSafe)
    }
}

impl<'a> From<&'a rcu::Guard> for ReadSide<'a> {
    fn from(_: &'a rcu::Guard) -> Self {
        ReadSide(PhantomData, NotThreadSafe)
    }
}

/// An owned value that readers see under RCU.
///
/// # Invariants
///
/// `ptr` is null or came from [`KBox::into_raw`], and what it points to is not freed before a grace
/// period has passed since `ptr` last held it.
pub struct RcuBox<T> {
    ptr: AtomicPtr<T>,
    _owns: PhantomData<KBox<T>>,
}

// SAFETY: Readers on any CPU share the value, and whoever replaces it drops it elsewhere.
unsafe impl<T: Send + Sync> Sync for RcuBox<T> {}

impl<T> RcuBox<T> {
    /// A cell without a value.
    pub const fn empty() -> Self {
        Self {
            ptr: AtomicPtr::new(ptr::null_mut()),
            _owns: PhantomData,
        }
    }

    /// The present value.
    ///
    /// Context: any; inlines to a load, nothing that ftrace can trace.
    #[inline(always)]
    pub fn read<'a>(&'a self, _proof: &'a ReadSide<'_>) -> Option<&'a T> {
        // ORDERING: Acquire, pairs with the swap in `publish()`: who sees the pointer sees what it
        // points to.
        let ptr = self.ptr.load(Ordering::Acquire);
        // SAFETY: By the type invariant the value lives until a grace period has passed, and
        // `_proof` says that none can pass while the reference is in use.
        unsafe { ptr.as_ref() }
    }

    /// Replaces the value. The old one is freed when the returned [`Retired`] is dropped.
    pub fn publish(&self, new: Option<KBox<T>>) -> Retired<T> {
        let new = new.map_or(ptr::null_mut(), KBox::into_raw);
        // ORDERING: AcqRel. Release pairs with the load in `read()`; Acquire with the Release of
        // the swap that put the old value here, which is about to be dropped by this CPU.
        let old = self.ptr.swap(new, Ordering::AcqRel);
        Retired(if old.is_null() {
            None
        } else {
            // SAFETY: By the type invariant the pointer came from `KBox::into_raw`; the swap made
            // this thread its only owner.
            Some(unsafe { KBox::from_raw(old) })
        })
    }
}

/// A value that readers may still hold. Dropping it waits for them.
///
/// Context of the drop: process context, sleeps for a grace period.
#[must_use = "dropping this at once waits for a grace period"]
pub struct Retired<T>(Option<KBox<T>>);

impl<T> Drop for Retired<T> {
    fn drop(&mut self) {
        if self.0.is_some() {
            synchronize();
        }
    }
}

/// Waits until every read side that is now running has ended. Context: process context, sleeps.
///
/// Expedited, because an operator waits for it and it happens a few times a transition.
pub fn synchronize() {
    // SAFETY: No requirement but a context that may sleep.
    unsafe { bindings::synchronize_rcu_expedited() }
}

/// Waits until every task has left the CPU voluntarily or was seen in user mode, exiting ones that
/// have left the task list among them: afterwards no task is preempted inside an ftrace trampoline
/// that it entered before. One that sleeps is not waited for (`rcu_tasks_is_holdout()` in
/// `kernel/rcu/tasks.h`). Context: process context, sleeps for tens of milliseconds and longer.
pub fn synchronize_tasks() {
    // SAFETY: No requirement but a context that may sleep.
    unsafe { bindings::synchronize_rcu_tasks() }
}
