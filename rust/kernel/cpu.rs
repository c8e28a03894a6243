// SPDX-License-Identifier: GPL-2.0

//! CPUs: the hotplug lock, and running something on all of them.
//!
//! C headers: [`include/linux/cpu.h`](srctree/include/linux/cpu.h),
//! [`include/linux/smp.h`](srctree/include/linux/smp.h)

use crate::{rcu::ReadSide, task::Quiescent};
use core::ffi::c_void;
use kernel::{
    bindings,
    cpu::{nr_cpu_ids, CpuId},
    cpumask::Cpumask,
    ffi::c_int,
    task::Task,
    types::NotThreadSafe, //
};

fn online_mask() -> &'static Cpumask {
    // SAFETY: The mask is a static of vmlinux; single bits of it are read, which may change.
    unsafe { Cpumask::from_raw(&raw const bindings::__cpu_online_mask) }
}

fn possible_mask() -> &'static Cpumask {
    // SAFETY: As above; this one does not change after boot.
    unsafe { Cpumask::from_raw(&raw const bindings::__cpu_possible_mask) }
}

/// The CPUs that the machine can have.
pub fn possible() -> impl Iterator<Item = u32> {
    (0..nr_cpu_ids()).filter(|&cpu| CpuId::from_u32(cpu).is_some_and(|c| possible_mask().test(c)))
}

/// No CPU comes or goes while this lives.
pub struct HotplugLock(NotThreadSafe);

impl HotplugLock {
    /// Context: process context, sleeps.
    pub fn read() -> Self {
        // SAFETY: Process context.
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

/// What was interrupted on a CPU.
pub struct Interrupted<'a> {
    /// The task that was running there.
    pub task: Quiescent<'a>,
    /// The CPU's idle task, unless that is it.
    pub idle: Option<Quiescent<'a>>,
}

impl Interrupted<'_> {
    /// # Safety
    ///
    /// Interrupts are off as long as the value lives.
    unsafe fn here() -> Self {
        let current = Task::current_raw();
        // SAFETY: This CPU is possible; its idle task is never freed.
        let idle = unsafe { rlp_bindings::rlp_idle_task(CpuId::current().as_u32() as c_int) };
        // NULL until the gate is open.
        let is_other = !idle.is_null() && idle != current;
        // SAFETY: The one is current. The other is valid, belongs to this CPU, and cannot start to
        // run before interrupts are on again.
        unsafe {
            Self {
                task: Quiescent::assume(current),
                idle: is_other.then(|| Quiescent::assume(idle)),
            }
        }
    }
}

/// Interrupts every online CPU and calls `f` there with what was interrupted; waits for all.
///
/// Context: process context, interrupts on. `f` runs with interrupts off, in hard interrupt context
/// also on PREEMPT_RT: no lock, no allocation.
pub fn interrupt_each<F: Fn(&Interrupted<'_>, &ReadSide<'_>) + Sync>(f: F) {
    /// # Safety
    ///
    /// `on_each_cpu()` calls this, and `info` is an `F` that outlives the call.
    unsafe extern "C" fn thunk<F: Fn(&Interrupted<'_>, &ReadSide<'_>) + Sync>(info: *mut c_void) {
        // SAFETY: `info` is an `F` by the contract. Interrupts are off here, and RCU watches: an
        // interrupt, the idle loop about to leave, or the caller itself.
        // (`flush_smp_call_function_queue()` in `kernel/smp.c`)
        let (f, proof, here) =
            unsafe { (&*info.cast::<F>(), ReadSide::assume(), Interrupted::here()) };
        f(&here, &proof);
    }
    // SAFETY: `f` is shared between CPUs, as `Sync` allows, and outlives the call, which waits.
    unsafe { rlp_bindings::rlp_on_each_cpu(Some(thunk::<F>), (&raw const f).cast_mut().cast()) }
}
