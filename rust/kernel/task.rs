// SPDX-License-Identifier: GPL-2.0

//! Walking all tasks, and holding one still.
//!
//! C header: [`include/linux/sched/task.h`](srctree/include/linux/sched/task.h)

use crate::{
    gate::Gate,
    rcu::ReadSide, //
};
use core::{ffi::c_void, marker::PhantomData};
use kernel::{
    bindings,
    ffi::c_int,
    sync::aref::ARef,
    task::Task,
    types::NotThreadSafe, //
};

/// A task by its address: a key to compare with, never followed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TaskId(usize);

impl TaskId {
    /// From the C pointer.
    #[inline(always)]
    pub fn from_raw(task: *const bindings::task_struct) -> Self {
        Self(task as usize)
    }

    /// The number.
    #[inline(always)]
    pub fn as_usize(self) -> usize {
        self.0
    }
}

impl From<&Task> for TaskId {
    #[inline(always)]
    fn from(task: &Task) -> Self {
        Self::from_raw(task.as_ptr())
    }
}

/// A task whose stack does not change while this lives: `current`, or one that is kept from running.
pub struct Quiescent<'a>(*mut bindings::task_struct, PhantomData<&'a Task>);

impl Quiescent<'_> {
    /// # Safety
    ///
    /// `task` is valid, and either `current` or kept off every CPU, for as long as the value lives.
    pub(crate) unsafe fn assume<'a>(task: *mut bindings::task_struct) -> Quiescent<'a> {
        Quiescent(task, PhantomData)
    }

    /// The C pointer.
    pub fn as_ptr(&self) -> *mut bindings::task_struct {
        self.0
    }

    /// The key of this task.
    pub fn id(&self) -> TaskId {
        TaskId::from_raw(self.0)
    }
}

/// `tasklist_lock`, read side: no task becomes visible or invisible while this lives.
pub struct TaskList(NotThreadSafe);

impl TaskList {
    /// Context: process context; may sleep on PREEMPT_RT, elsewhere preemption is off until the
    /// drop. Nothing may be allocated that sleeps.
    pub fn lock(_gate: Gate) -> Self {
        // SAFETY: The gate is open, so that it has found the lock.
        unsafe { rlp_bindings::rlp_tasklist_read_lock() };
        Self(NotThreadSafe)
    }

    /// Calls `visit` for every visible task, threads included, idle tasks not, until it returns
    /// `false`.
    pub fn for_each<F: FnMut(&Task) -> bool>(&self, mut visit: F) {
        /// # Safety
        ///
        /// `cookie` is an `F` that nobody else uses during the call; `task` is on the locked list.
        unsafe extern "C" fn thunk<F: FnMut(&Task) -> bool>(
            cookie: *mut c_void,
            task: *mut bindings::task_struct,
        ) -> bool {
            // SAFETY: By the contract. The task is on the list, which is locked, so its reference
            // count is not zero; `Task` is transparent over `task_struct`.
            let (visit, task) = unsafe { (&mut *cookie.cast::<F>(), &*task.cast::<Task>()) };
            visit(task)
        }
        // SAFETY: The lock is held as `self` shows; the closure outlives the call.
        unsafe { rlp_bindings::rlp_for_each_task(Some(thunk::<F>), (&raw mut visit).cast()) }
    }
}

impl Drop for TaskList {
    fn drop(&mut self) {
        // SAFETY: Locked in `lock()`, by this task.
        unsafe { rlp_bindings::rlp_tasklist_read_unlock() }
    }
}

/// The idle task of a CPU, if that is possible and has one.
pub fn idle_task(cpu: u32) -> Option<ARef<Task>> {
    let cpu = c_int::try_from(cpu).ok()?;
    // SAFETY: Any number may be asked for.
    let task = unsafe { rlp_bindings::rlp_idle_task(cpu) };
    // SAFETY: Null before the CPU was first prepared; else an idle task, which is never freed.
    let task = unsafe { task.cast::<Task>().as_ref() }?;
    Some(ARef::from(task))
}

/// Calls `f` with `task` held still, or with `None` if it is on a CPU now. Returns `None` without
/// calling `f` until the [gate](crate::gate) is open.
///
/// Context: `f` runs with interrupts off and the task's `pi_lock`, its runqueue's lock too if it is
/// queued (`task_call_func()` in `kernel/sched/core.c`): it must be short and take no lock.
pub fn with_quiescent<R, F>(task: &Task, f: F) -> Option<R>
where
    F: FnOnce(Option<Quiescent<'_>>, &ReadSide<'_>) -> R,
{
    struct Call<F, R> {
        f: Option<F>,
        result: Option<R>,
    }
    /// # Safety
    ///
    /// `task_call_func()` calls this for `task`, and `arg` is a `Call<F, R>` that nobody else uses
    /// during the call.
    unsafe extern "C" fn thunk<R, F>(task: *mut bindings::task_struct, arg: *mut c_void) -> c_int
    where
        F: FnOnce(Option<Quiescent<'_>>, &ReadSide<'_>) -> R,
    {
        // SAFETY: By the contract.
        let call = unsafe { &mut *arg.cast::<Call<F, R>>() };
        // SAFETY: The caller's task is valid.
        let running = unsafe { rlp_bindings::rlp_task_on_cpu(task) };
        // SAFETY: Off the CPU, and its locks, which task_call_func() holds, keep it off.
        let task = (!running).then(|| unsafe { Quiescent::assume(task) });
        // SAFETY: task_call_func() has interrupts off; it was called by a task, where RCU watches.
        let proof = unsafe { ReadSide::assume() };
        call.result = call.f.take().map(|f| f(task, &proof));
        0
    }

    let mut call = Call {
        f: Some(f),
        result: None,
    };
    // SAFETY: `task` is a valid task; `thunk` gets back `call`, which outlives the call.
    unsafe {
        rlp_bindings::rlp_task_call_func(
            task.as_ptr(),
            Some(thunk::<R, F>),
            (&raw mut call).cast(),
        );
    }
    call.result
}

/// The CPU of `current` if that is exiting, and may have left the task list; `None` for others.
///
/// Context: any, preemption off.
#[inline(always)]
pub fn exiting_on() -> Option<u32> {
    // SAFETY: No requirement.
    u32::try_from(unsafe { rlp_bindings::rlp_exiting_on() }).ok()
}

/// Whether `task` is on its way out, and may leave the task list.
///
/// Context: any. The answer holds while a [`TaskList`] is held.
pub fn is_exiting(task: &Task) -> bool {
    // SAFETY: `task` is valid.
    unsafe { rlp_bindings::rlp_task_is_exiting(task.as_ptr()) }
}

/// Whether `task` has left its last CPU for good.
pub fn is_dead(task: &Task) -> bool {
    // SAFETY: `task` is valid.
    unsafe { rlp_bindings::rlp_task_is_dead(task.as_ptr()) }
}

/// Wakes a kthread, or makes another task leave its interruptible sleep and pass the exit to user
/// mode, where it has no kernel stack. Context: any but with a runqueue locked.
pub fn nudge(task: &Task) {
    // SAFETY: `task` is valid.
    unsafe { rlp_bindings::rlp_task_nudge(task.as_ptr()) }
}

/// A task's name, `TASK_COMM_LEN` bytes with the terminator.
pub fn comm(task: &Task) -> [u8; 16] {
    let mut buf = [0; 16];
    // SAFETY: The buffer has TASK_COMM_LEN bytes.
    unsafe { rlp_bindings::rlp_task_comm(task.as_ptr(), buf.as_mut_ptr()) };
    buf
}
