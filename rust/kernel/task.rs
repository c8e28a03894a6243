// SPDX-License-Identifier: GPL-2.0

//! Walking all tasks, and keeping a task from running.
//!
//! C header: [`include/linux/sched/task.h`](srctree/include/linux/sched/task.h)

use crate::{
    gate::Gate,
    rcu::ReadSide, //
};
use core::{
    ffi::c_void,
    marker::PhantomData, //
};
use kernel::{
    bindings,
    ffi::c_int,
    str::BStr,
    sync::aref::ARef,
    task::Task,
    types::NotThreadSafe, //
};

/// The address of a task, as a key for comparisons. It is never followed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TaskId(usize);

impl TaskId {
    /// Makes the key of a C pointer.
    #[inline(always)]
    pub fn from_raw(task: *const bindings::task_struct) -> Self {
        Self(task as usize)
    }

    /// Returns the key as a number, for a hash table.
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

/// A task whose stack does not change while this lives: `current`, or a task that is kept from
/// running.
///
/// # Invariants
///
/// The task is valid, and either `current` or kept off every CPU, for as long as this lives.
pub struct Quiescent<'a>(*mut bindings::task_struct, PhantomData<&'a Task>);

impl Quiescent<'_> {
    /// # Safety
    ///
    /// `task` is valid, and either `current` or kept off every CPU, for as long as the value lives.
    pub(crate) unsafe fn assume<'a>(task: *mut bindings::task_struct) -> Quiescent<'a> {
        // INVARIANT: By the contract.
        Quiescent(task, PhantomData)
    }

    /// Returns the pointer, which is valid while `self` lives.
    pub fn as_ptr(&self) -> *mut bindings::task_struct {
        self.0
    }

    /// Returns the key of this task.
    pub fn id(&self) -> TaskId {
        TaskId::from_raw(self.0)
    }
}

/// `tasklist_lock`, held for reading: no task becomes visible or invisible while this lives.
pub struct TaskList(NotThreadSafe);

impl TaskList {
    /// Locks the list.
    ///
    /// # Context
    ///
    /// Process context. May sleep on PREEMPT_RT; on other kernels preemption is off until the drop,
    /// and the caller must not sleep.
    pub fn lock(_gate: Gate) -> Self {
        // SAFETY: The gate is open, so it has found the lock. Unlocked in the drop.
        unsafe { rlp_bindings::rlp_tasklist_read_lock() };
        Self(NotThreadSafe)
    }

    /// Calls `visit` for every visible task, threads included, until it returns `false`. Idle tasks
    /// are not visible.
    ///
    /// # Context
    ///
    /// Any. `visit` must not sleep.
    pub fn for_each<F: FnMut(&Task) -> bool>(&self, mut visit: F) {
        /// # Safety
        ///
        /// `cookie` is an `F` that no other code uses during the call; `task` is on the locked
        /// list.
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
        unsafe { rlp_bindings::rlp_visit_tasks(Some(thunk::<F>), (&raw mut visit).cast()) }
    }
}

impl Drop for TaskList {
    fn drop(&mut self) {
        // SAFETY: Locked in `lock()`, by this task.
        unsafe { rlp_bindings::rlp_tasklist_read_unlock() }
    }
}

/// The lock of new tasks, a raw spinlock, held with interrupts off. A probe for new tasks takes the
/// lock before it changes the record of a child. So no such probe changes a record while another
/// thread holds the lock.
///
/// # Context
///
/// Any but NMI. Nothing may sleep while this lives.
pub struct NewTaskLock(usize, NotThreadSafe);

impl NewTaskLock {
    /// Switches interrupts off, and spins until the lock is free.
    pub fn lock() -> Self {
        // SAFETY: Not in an NMI, by the contract of the type. Unlocked in the drop.
        let flags = unsafe { rlp_bindings::rlp_new_tasks_lock() };
        Self(flags, NotThreadSafe)
    }
}

impl Drop for NewTaskLock {
    fn drop(&mut self) {
        // SAFETY: Locked in `lock()`, on this CPU: interrupts have been off since then.
        unsafe { rlp_bindings::rlp_new_tasks_unlock(self.0) }
    }
}

/// Returns the idle task of a CPU, or `None` if the CPU is not possible or has no idle task yet.
///
/// # Context
///
/// Any.
pub fn idle_task(cpu: u32) -> Option<ARef<Task>> {
    let cpu = c_int::try_from(cpu).ok()?;
    // SAFETY: The function accepts any number.
    let task = unsafe { rlp_bindings::rlp_idle_task(cpu) };
    // SAFETY: Null before the CPU is first brought up, else an idle task, which is never freed.
    let task = unsafe { task.cast::<Task>().as_ref() }?;
    Some(ARef::from(task))
}

/// A task that [`with_quiescent`] holds still.
pub enum Held<'a> {
    /// The task is off the CPU.
    OffCpu(Quiescent<'a>),
    /// The task runs on the CPU of this number.
    OnCpu(u32),
}

/// Keeps `task` from running, or from leaving its CPU if it runs, and calls `f` with it.
///
/// Until the [gate](crate::gate) is open this returns `None` without calling `f`.
///
/// # Context
///
/// `f` runs with interrupts off and the task's `pi_lock` held, and with the lock of its runqueue
/// held if the task is queued (`task_call_func()` in `kernel/sched/core.c`). It must be short and
/// take no lock.
///
/// # Examples
///
/// ```
/// use kernel::task::Task;
/// use kernel_ext::task::{
///     self,
///     Held, //
/// };
///
/// // Returns the CPU on which the task runs at this moment.
/// fn cpu_of(task: &Task) -> Option<u32> {
///     let cpu = task::with_quiescent(task, |held, _proof| match held {
///         Held::OnCpu(cpu) => Some(cpu),
///         Held::OffCpu(_) => None,
///     });
///     cpu.flatten()
/// }
/// ```
pub fn with_quiescent<R, F>(task: &Task, f: F) -> Option<R>
where
    F: FnOnce(Held<'_>, &ReadSide<'_>) -> R,
{
    struct Call<F, R> {
        f: Option<F>,
        result: Option<R>,
    }
    /// # Safety
    ///
    /// `task_call_func()` calls this for `task`, and `arg` is a `Call<F, R>` that no other code
    /// uses during the call.
    unsafe extern "C" fn thunk<R, F>(task: *mut bindings::task_struct, arg: *mut c_void) -> c_int
    where
        F: FnOnce(Held<'_>, &ReadSide<'_>) -> R,
    {
        // SAFETY: By the contract.
        let call = unsafe { &mut *arg.cast::<Call<F, R>>() };
        // SAFETY: `task` is valid: task_call_func() was called with it, and calls this.
        let cpu = unsafe { rlp_bindings::rlp_task_runs_on(task) };
        let task = match u32::try_from(cpu) {
            Ok(cpu) => Held::OnCpu(cpu),
            // SAFETY: The task is off its CPU, and the locks that task_call_func() holds keep it
            // off.
            Err(_) => Held::OffCpu(unsafe { Quiescent::assume(task) }),
        };
        // SAFETY: task_call_func() has interrupts off. A task called it, so RCU watches this
        // CPU.
        let proof = unsafe { ReadSide::assume() };
        call.result = call.f.take().map(|f| f(task, &proof));
        0
    }

    let mut call = Call {
        f: Some(f),
        result: None,
    };
    // SAFETY: `task` is valid; `thunk` is called with `call`, which outlives the call.
    unsafe {
        rlp_bindings::rlp_task_call_func(
            task.as_ptr(),
            Some(thunk::<R, F>),
            (&raw mut call).cast(),
        );
    }
    call.result
}

/// Returns the CPU of `current` if `current` is exiting, else `None`. A task that is exiting may
/// have left the task list.
///
/// # Context
///
/// Any, preemption off.
#[inline(always)]
pub fn exiting_on() -> Option<u32> {
    // SAFETY: The function has no requirement.
    u32::try_from(unsafe { rlp_bindings::rlp_exiting_on() }).ok()
}

/// Whether `task` is exiting, and may leave the task list. The answer holds while a [`TaskList`]
/// lives.
///
/// # Context
///
/// Any.
pub fn is_exiting(task: &Task) -> bool {
    // SAFETY: `task` is valid.
    unsafe { rlp_bindings::rlp_task_is_exiting(task.as_ptr()) }
}

/// Whether `task` has left its last CPU for good.
///
/// # Context
///
/// Any.
pub fn is_dead(task: &Task) -> bool {
    // SAFETY: `task` is valid.
    unsafe { rlp_bindings::rlp_task_is_dead(task.as_ptr()) }
}

/// Wakes a kthread, or makes another task leave its interruptible sleep and pass the exit to user
/// mode, where its kernel stack is empty.
///
/// # Context
///
/// Any in which no runqueue is locked.
pub fn nudge(task: &Task) {
    // SAFETY: `task` is valid.
    unsafe { rlp_bindings::rlp_task_nudge(task.as_ptr()) }
}

/// The name of a task, `TASK_COMM_LEN` bytes with the terminator.
pub struct Comm([u8; 16]);

impl Comm {
    /// Returns the name without the terminator.
    pub fn name(&self) -> &BStr {
        let name = self.0.split(|&byte| byte == 0).next();
        BStr::from_bytes(name.unwrap_or_default())
    }
}

/// Returns a task's name.
///
/// # Context
///
/// Any.
pub fn comm(task: &Task) -> Comm {
    let mut buf = [0; 16];
    // SAFETY: The buffer has TASK_COMM_LEN bytes.
    unsafe { rlp_bindings::rlp_task_comm(task.as_ptr(), buf.as_mut_ptr()) };
    Comm(buf)
}
