// SPDX-License-Identifier: GPL-2.0

//! Sections that read a pointer under RCU, also where RCU does not watch the CPU.
//!
//! C header: [`include/linux/rcupdate.h`](srctree/include/linux/rcupdate.h)

use crate::{
    atomic::{
        AtomicUsize,
        Ordering, //
    },
    rcu_box::{
        self,
        Domain, //
    }, //
};
use core::marker::PhantomData;
use kernel::{
    bindings,
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

/// The sections that [`synchronize`] waits for: those that a [`ReadSide`] proves.
pub enum Watched {}

// SAFETY: A `ReadSide` proves a section that `synchronize()` waits for.
unsafe impl Domain for Watched {
    type Proof<'a> = ReadSide<'a>;

    fn synchronize() {
        synchronize();
    }
}

/// An owned value that is read in the sections of [`Watched`].
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
/// drop(LIMIT.publish(Some(KBox::new(10, GFP_KERNEL)?)));
///
/// let guard = rcu::read_lock();
/// let limit = LIMIT.read(&ReadSide::from(&guard)).copied();
/// assert_eq!(limit, Some(10));
/// # Ok::<(), Error>(())
/// ```
pub type RcuBox<T> = rcu_box::RcuBox<T, Watched>;

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
