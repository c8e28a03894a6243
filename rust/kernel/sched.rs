// SPDX-License-Identifier: GPL-2.0

//! Tracepoint probes where tasks are made, where they leave the CPU, and where they leave system
//! calls.
//!
//! C headers: [`include/trace/events/sched.h`](srctree/include/trace/events/sched.h),
//! [`include/trace/events/syscalls.h`](srctree/include/trace/events/syscalls.h),
//! [`include/trace/events/task.h`](srctree/include/trace/events/task.h)

use crate::{
    gate::Gate,
    rcu::ReadSide,
    task::{
        Quiescent,
        TaskId, //
    },
    tracepoint_probe::{
        Probe,
        Tracepoint, //
    }, //
};
use core::{
    ffi::c_void,
    marker::PhantomData, //
};
use kernel::{
    bindings,
    ffi::{
        c_long,
        c_uint, //
    },
    prelude::*,
    str::CStr,
    task::Task, //
};

/// Registers `probe` on the tracepoint `name` of vmlinux. The gate shows that the drop of
/// [`OpenGate`](crate::gate::OpenGate) will wait for the calls in progress.
///
/// # Context
///
/// Process context, sleeps.
///
/// # Errors
///
/// `ENOENT` if there is no such tracepoint; `ENOMEM`.
///
/// # Safety
///
/// `probe` has the type of `TP_PROTO` of the tracepoint, with the data pointer in front.
unsafe fn register(name: &CStr, probe: *mut c_void, _gate: Gate) -> Result<Probe> {
    let tracepoint = Tracepoint::find(name).ok_or(ENOENT)?;
    // SAFETY: The type is the contract. By the contract of `gate::open()`, the probe is dropped
    // before `OpenGate`, and the module's text stays until that drop has called `synchronize()`.
    unsafe { Probe::register(tracepoint, probe) }
}

/// A probe for tasks that leave the CPU.
pub trait SwitchOut {
    /// Called when `task` is about to leave the CPU; for the last time if `dead` is true.
    ///
    /// # Context
    ///
    /// In `__schedule()`, with the runqueue locked and interrupts off, also on PREEMPT_RT. The
    /// function must take no lock, wake no task, allocate nothing, print nothing and not panic.
    fn switch_out(task: Quiescent<'_>, dead: bool, proof: &ReadSide<'_>);
}

/// A registered [`SwitchOut`] probe. Dropping it unregisters the probe. The module's text must stay
/// until [`OpenGate`](crate::gate::OpenGate) is dropped.
///
/// # Examples
///
/// ```
/// use kernel_ext::{
///     atomic::{
///         AtomicUsize,
///         Ordering, //
///     },
///     gate::Gate,
///     rcu::ReadSide,
///     sched::{
///         SchedSwitch,
///         SwitchOut, //
///     },
///     task::Quiescent, //
/// };
///
/// static DEAD: AtomicUsize = AtomicUsize::new(0);
///
/// struct CountDead;
///
/// impl SwitchOut for CountDead {
///     fn switch_out(_task: Quiescent<'_>, dead: bool, _proof: &ReadSide<'_>) {
///         if dead {
///             DEAD.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
///
/// fn count_dead(gate: Gate) -> Result<SchedSwitch<CountDead>> {
///     SchedSwitch::register(gate)
/// }
/// ```
pub struct SchedSwitch<P: SwitchOut> {
    _registered: Probe,
    _probe: PhantomData<fn() -> P>,
}

impl<P: SwitchOut> SchedSwitch<P> {
    /// Registers the probe.
    ///
    /// # Context
    ///
    /// Process context, sleeps.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is no such tracepoint; `ENOMEM`.
    pub fn register(gate: Gate) -> Result<Self> {
        Ok(Self {
            // SAFETY: `probe` has the type that check_probes() in rust/helpers/task.c checks.
            _registered: unsafe { register(c"sched_switch", Self::probe as *mut c_void, gate)? },
            _probe: PhantomData,
        })
    }

    /// # Safety
    ///
    /// The tracepoint `sched_switch` calls this.
    unsafe extern "C" fn probe(
        _data: *mut c_void,
        _preempt: bool,
        prev: *mut bindings::task_struct,
        _next: *mut bindings::task_struct,
        prev_state: c_uint,
    ) {
        // SAFETY: In __schedule() interrupts are off. RCU watches this CPU, which each tracepoint
        // requires (`__DECLARE_TRACE()` in `include/linux/tracepoint.h`). `prev` is still current.
        let (proof, task) = unsafe { (ReadSide::assume(), Quiescent::assume(prev)) };
        P::switch_out(task, prev_state & bindings::TASK_DEAD != 0, &proof);
    }
}

/// A probe for tasks that leave a system call.
pub trait LeaveSyscall {
    /// Called when `task`, which is the current task, is about to return to user mode.
    ///
    /// # Context
    ///
    /// Interrupts off. Otherwise as [`SwitchOut::switch_out`].
    fn leave_syscall(task: Quiescent<'_>, proof: &ReadSide<'_>);
}

/// A registered [`LeaveSyscall`] probe. While it is registered, all system calls of all tasks take
/// the slow path. Dropping it unregisters the probe. The module's text must stay until
/// [`OpenGate`](crate::gate::OpenGate) is dropped.
pub struct SyscallExit<P: LeaveSyscall> {
    _registered: Probe,
    _probe: PhantomData<fn() -> P>,
}

impl<P: LeaveSyscall> SyscallExit<P> {
    /// Registers the probe.
    ///
    /// # Context
    ///
    /// Process context, sleeps.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is no such tracepoint; `ENOMEM`.
    pub fn register(gate: Gate) -> Result<Self> {
        Ok(Self {
            // SAFETY: As in `SchedSwitch::register()`.
            _registered: unsafe { register(c"sys_exit", Self::probe as *mut c_void, gate)? },
            _probe: PhantomData,
        })
    }

    /// # Safety
    ///
    /// The tracepoint `sys_exit` calls this.
    unsafe extern "C" fn probe(_data: *mut c_void, _regs: *mut bindings::pt_regs, _ret: c_long) {
        // SAFETY: Restored below, on the same CPU.
        let flags = unsafe { rlp_bindings::rlp_irq_save() };
        // SAFETY: Interrupts are off, RCU watches this CPU during the exit from a system call, and
        // the task is the current one.
        let (proof, task) = unsafe { (ReadSide::assume(), Quiescent::assume(Task::current_raw())) };
        P::leave_syscall(task, &proof);
        // SAFETY: Saved above.
        unsafe { rlp_bindings::rlp_irq_restore(flags) };
    }
}

/// A probe for new tasks.
pub trait NewTask {
    /// Called when the task `parent`, which is the current task, has made `child`. The child is on
    /// the task list, unless it is an idle task. It has never run, and `parent` or another task
    /// wakes it after this.
    ///
    /// # Context
    ///
    /// At the end of `copy_process()`, interrupts off. The function must not sleep, allocate,
    /// print or panic.
    fn new_task(child: &Task, parent: TaskId, proof: &ReadSide<'_>);
}

/// A registered [`NewTask`] probe. Dropping it unregisters the probe. The module's text must stay
/// until [`OpenGate`](crate::gate::OpenGate) is dropped.
pub struct TaskNewtask<P: NewTask> {
    _registered: Probe,
    _probe: PhantomData<fn() -> P>,
}

impl<P: NewTask> TaskNewtask<P> {
    /// Registers the probe.
    ///
    /// # Context
    ///
    /// Process context, sleeps.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is no such tracepoint; `ENOMEM`.
    pub fn register(gate: Gate) -> Result<Self> {
        Ok(Self {
            // SAFETY: As in `SchedSwitch::register()`.
            _registered: unsafe { register(c"task_newtask", Self::probe as *mut c_void, gate)? },
            _probe: PhantomData,
        })
    }

    /// # Safety
    ///
    /// The tracepoint `task_newtask` calls this.
    unsafe extern "C" fn probe(_data: *mut c_void, child: *mut bindings::task_struct, _flags: u64) {
        // SAFETY: Restored below, on the same CPU.
        let flags = unsafe { rlp_bindings::rlp_irq_save() };
        // SAFETY: Interrupts are off, and RCU watches this CPU, which each tracepoint requires.
        // The child is not freed during this call: it has never run, and the caller of
        // copy_process() wakes it later. `Task` is transparent over `task_struct`.
        let (proof, child) = unsafe { (ReadSide::assume(), &*child.cast::<Task>()) };
        P::new_task(child, TaskId::from_raw(Task::current_raw()), &proof);
        // SAFETY: Saved above.
        unsafe { rlp_bindings::rlp_irq_restore(flags) };
    }
}
