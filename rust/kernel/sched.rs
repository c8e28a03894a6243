// SPDX-License-Identifier: GPL-2.0

//! Probes on the points where tasks leave the CPU, and system calls.
//!
//! C headers: [`include/trace/events/sched.h`](srctree/include/trace/events/sched.h),
//! [`include/trace/events/syscalls.h`](srctree/include/trace/events/syscalls.h)

use crate::{
    gate::Gate,
    rcu::ReadSide,
    task::Quiescent, //
};
use core::{ffi::c_void, marker::PhantomData, ptr::null_mut};
use kernel::{
    bindings,
    error::to_result,
    ffi::{c_long, c_uint},
    prelude::*,
    str::CStr,
    task::Task, //
};

/// A probe, without data of its own, on a tracepoint. When it was dropped it may still run where it
/// runs already, until [`wait_for_probes`] has returned.
///
/// No wait here: any task can hold it up, by what it does in a probe of somebody else's on a system
/// call, and locks may be held.
struct Registered {
    tracepoint: *mut bindings::tracepoint,
    probe: *mut c_void,
}

// SAFETY: Tracepoints may be unregistered by any thread.
unsafe impl Send for Registered {}

impl Registered {
    /// Context: process context, sleeps. Errors: `ENOENT` without such a tracepoint, `ENOMEM`.
    ///
    /// # Safety
    ///
    /// `probe` has the type that `TP_PROTO` of the tracepoint wants, with the data pointer in front.
    unsafe fn new(name: &CStr, probe: *mut c_void) -> Result<Self> {
        // SAFETY: Process context; a C string.
        let tracepoint = unsafe { rlp_bindings::rlp_tracepoint(name.as_char_ptr()) };
        if tracepoint.is_null() {
            return Err(ENOENT);
        }
        // SAFETY: It is a tracepoint of vmlinux, which never goes; for `probe` the caller answers.
        to_result(unsafe { bindings::tracepoint_probe_register(tracepoint, probe, null_mut()) })?;
        Ok(Self { tracepoint, probe })
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // SAFETY: Registered in `new()`, with these arguments.
        unsafe {
            bindings::tracepoint_probe_unregister(self.tracepoint, self.probe, null_mut());
        }
    }
}

/// Waits until no probe runs that was dropped before. Before the module's text is freed, the drop of
/// [`OpenGate`](crate::gate::OpenGate) calls this.
///
/// # Context
///
/// Process context, sleeps; holds no lock that others need.
pub(crate) fn wait_for_probes() {
    // SAFETY: Process context.
    unsafe { rlp_bindings::rlp_tracepoint_synchronize() }
}

/// What wants to see tasks leave the CPU.
pub trait SwitchOut {
    /// `task` is about to leave the CPU; `dead` says that it is for ever.
    ///
    /// Context: in `__schedule()`, runqueue locked, interrupts off, also on PREEMPT_RT. Take no
    /// lock, wake nobody, allocate nothing, print nothing, do not panic.
    fn switch_out(task: Quiescent<'_>, dead: bool, proof: &ReadSide<'_>);
}

/// A registered probe; dropping it removes it, see
/// [`OpenGate`](crate::gate::OpenGate).
pub struct SchedSwitch<P: SwitchOut> {
    _registered: Registered,
    _probe: PhantomData<fn() -> P>,
}

impl<P: SwitchOut> SchedSwitch<P> {
    /// Context: process context, sleeps. Errors: `ENOENT` without such a tracepoint, `ENOMEM`.
    pub fn register(_gate: Gate) -> Result<Self> {
        Ok(Self {
            // SAFETY: `probe` has the type that check_probes() in rust/helpers/task.c asks for.
            _registered: unsafe { Registered::new(c"sched_switch", Self::probe as *mut c_void)? },
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
        // SAFETY: In __schedule() interrupts are off, and RCU watches, as each tracepoint demands
        // (`__DECLARE_TRACE()` in `include/linux/tracepoint.h`); `prev` is still current.
        let (proof, task) = unsafe { (ReadSide::assume(), Quiescent::assume(prev)) };
        P::switch_out(task, prev_state & bindings::TASK_DEAD != 0, &proof);
    }
}

/// What wants to see tasks leave system calls.
pub trait LeaveSyscall {
    /// `task`, the current one, is about to return to user mode.
    ///
    /// Context: interrupts off.
    fn leave_syscall(task: Quiescent<'_>, proof: &ReadSide<'_>);
}

/// A registered probe; while there is one, all system calls of all tasks take the slow path.
/// Dropping it removes it, see
/// [`OpenGate`](crate::gate::OpenGate).
pub struct SyscallExit<P: LeaveSyscall> {
    _registered: Registered,
    _probe: PhantomData<fn() -> P>,
}

impl<P: LeaveSyscall> SyscallExit<P> {
    /// Context: process context, sleeps. Errors: `ENOENT` without such a tracepoint, `ENOMEM`.
    pub fn register(_gate: Gate) -> Result<Self> {
        Ok(Self {
            // SAFETY: `probe` has the type.
            _registered: unsafe { Registered::new(c"sys_exit", Self::probe as *mut c_void)? },
            _probe: PhantomData,
        })
    }

    /// # Safety
    ///
    /// The tracepoint `sys_exit` calls this.
    unsafe extern "C" fn probe(_data: *mut c_void, _regs: *mut bindings::pt_regs, _ret: c_long) {
        // SAFETY: Restored below, by the same CPU.
        let flags = unsafe { rlp_bindings::rlp_irq_save() };
        // SAFETY: Interrupts are off, RCU watches a system call's exit work, and the task is the
        // current one.
        let (proof, task) = unsafe { (ReadSide::assume(), Quiescent::assume(Task::current_raw())) };
        P::leave_syscall(task, &proof);
        // SAFETY: Saved above.
        unsafe { rlp_bindings::rlp_irq_restore(flags) };
    }
}
