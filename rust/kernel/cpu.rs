// SPDX-License-Identifier: GPL-2.0

//! CPUs: the hotplug lock, and running a function on every CPU.
//!
//! C headers: [`include/linux/cpu.h`](srctree/include/linux/cpu.h),
//! [`include/linux/smp.h`](srctree/include/linux/smp.h)

use crate::{
    rcu::ReadSide,
    task::Quiescent, //
};
use core::ffi::c_void;
use kernel::{
    bindings,
    cpu::{
        nr_cpu_ids,
        CpuId, //
    },
    cpumask::Cpumask,
    ffi::c_int,
    task::Task,
    types::NotThreadSafe, //
};

fn online_mask() -> &'static Cpumask {
    // SAFETY: The mask is a static of vmlinux. Only single bits of it are read, which may change.
    unsafe { Cpumask::from_raw(&raw const bindings::__cpu_online_mask) }
}

fn possible_mask() -> &'static Cpumask {
    // SAFETY: The mask is a static of vmlinux that does not change after boot.
    unsafe { Cpumask::from_raw(&raw const bindings::__cpu_possible_mask) }
}

/// Returns the numbers of the possible CPUs.
pub fn possible() -> impl Iterator<Item = u32> {
    (0..nr_cpu_ids()).filter(|&cpu| CpuId::from_u32(cpu).is_some_and(|c| possible_mask().test(c)))
}

/// The CPU hotplug lock, held for reading: no CPU goes online or offline while this lives.
pub struct HotplugLock(NotThreadSafe);

impl HotplugLock {
    /// Locks.
    ///
    /// # Context
    ///
    /// Process context, sleeps.
    pub fn read() -> Self {
        // SAFETY: Process context. Unlocked in the drop.
        unsafe { bindings::cpus_read_lock() };
        Self(NotThreadSafe)
    }

    /// Whether `cpu` is online.
    pub fn is_online(&self, cpu: u32) -> bool {
        CpuId::from_u32(cpu).is_some_and(|cpu| online_mask().test(cpu))
    }
}

impl Drop for HotplugLock {
    fn drop(&mut self) {
        // SAFETY: Locked in `read()`, by this task.
        unsafe { bindings::cpus_read_unlock() }
    }
}

/// The tasks of a CPU that was interrupted.
pub struct Interrupted<'a> {
    /// The task that was running on the CPU.
    pub task: Quiescent<'a>,
    /// The CPU's idle task. `None` if that is the task that was running.
    pub idle: Option<Quiescent<'a>>,
}

impl Interrupted<'_> {
    /// # Safety
    ///
    /// Interrupts are off for as long as the value lives.
    unsafe fn here() -> Self {
        let current = Task::current_raw();
        // SAFETY: The function accepts any number.
        let idle = unsafe { rlp_bindings::rlp_idle_task(CpuId::current().as_u32() as c_int) };
        // NULL until the gate is open.
        let is_other = !idle.is_null() && idle != current;
        // SAFETY: `current` is the current task. The idle task is never freed; it is that of this
        // CPU and cannot start to run before interrupts are on again.
        unsafe {
            Self {
                task: Quiescent::assume(current),
                idle: is_other.then(|| Quiescent::assume(idle)),
            }
        }
    }
}

/// Interrupts every online CPU, calls `f` there with the tasks that were interrupted, and waits for
/// all calls.
///
/// # Context
///
/// Process context, interrupts on. `f` runs with interrupts off, in hard interrupt context also on
/// PREEMPT_RT: it must take no lock and allocate nothing.
pub fn interrupt_each<F: Fn(&Interrupted<'_>, &ReadSide<'_>) + Sync>(f: F) {
    /// # Safety
    ///
    /// `on_each_cpu()` calls this, and `info` is an `F` that outlives the call.
    unsafe extern "C" fn thunk<F: Fn(&Interrupted<'_>, &ReadSide<'_>) + Sync>(info: *mut c_void) {
        // SAFETY: `info` is an `F` by the contract. Interrupts are off, and RCU watches this CPU:
        // this is an interrupt, the idle loop before it schedules, or the caller of
        // `interrupt_each()` (`flush_smp_call_function_queue()` in `kernel/smp.c`).
        let (f, proof, here) =
            unsafe { (&*info.cast::<F>(), ReadSide::assume(), Interrupted::here()) };
        f(&here, &proof);
    }
    // SAFETY: `f` is `Sync`, so that CPUs can share it. It outlives the call, which waits for all
    // CPUs.
    unsafe { rlp_bindings::rlp_on_each_cpu(Some(thunk::<F>), (&raw const f).cast_mut().cast()) }
}
