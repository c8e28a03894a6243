// SPDX-License-Identifier: GPL-2.0

//! CPUs: the hotplug lock, and interrupting CPUs.
//!
//! C headers: [`include/linux/cpu.h`](srctree/include/linux/cpu.h),
//! [`include/linux/smp.h`](srctree/include/linux/smp.h)

use crate::{
    gate::Gate,
    rcu::{
        self,
        ReadSide, //
    },
    task::{
        Quiescent,
        TaskId, //
    }, //
};
use core::ffi::c_void;
use kernel::{
    bindings,
    cpu::{
        nr_cpu_ids,
        CpuId, //
    },
    cpumask::{
        Cpumask,
        CpumaskVar, //
    },
    ffi::c_int,
    prelude::*,
    task::Task,
    time::{
        delay::fsleep,
        Delta, //
    },
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

/// The CPUs that [`interrupt`] interrupts.
pub struct CpuSet(CpumaskVar);

// SAFETY: The set owns its mask, and any thread may free the mask.
unsafe impl Send for CpuSet {}

// The mask may be moved, because nothing keeps its address. Without CONFIG_CPUMASK_OFFSTACK it is
// part of the set, and not Unpin.
impl Unpin for CpuSet {}

impl CpuSet {
    /// Makes an empty set.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new() -> Result<Self> {
        Ok(Self(CpumaskVar::new_zero(GFP_KERNEL)?))
    }

    /// Removes all CPUs.
    pub fn clear(&mut self) {
        for cpu in possible().filter_map(CpuId::from_u32) {
            self.0.clear(cpu);
        }
    }

    /// Adds `cpu`.
    pub fn add(&mut self, cpu: u32) {
        if let Some(cpu) = CpuId::from_u32(cpu) {
            self.0.set(cpu);
        }
    }

    /// Whether no CPU is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.empty()
    }
}

/// The CPU hotplug lock, held for reading: no CPU goes online or offline while this lives.
pub struct HotplugLock(NotThreadSafe);

impl HotplugLock {
    /// Waits until no CPU is being brought online or offline, and locks.
    ///
    /// # Context
    ///
    /// Process context, sleeps.
    pub fn read() -> Self {
        // SAFETY: Process context. Unlocked in the drop.
        unsafe { bindings::cpus_read_lock() };
        Self(NotThreadSafe)
    }

    /// Whether `cpu` is online, which does not change while `self` lives. A number that no CPU can
    /// have is not online.
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

/// The task that was running on an interrupted CPU.
pub enum Running<'a> {
    /// The kernel could have preempted the task at the interrupted instruction: the task was in
    /// user mode, or in kernel code with preemption on. Two tasks are not interrupted, but belong
    /// here, too: the caller of [`interrupt`], and an idle task that is about to leave its CPU.
    Preemptible(Quiescent<'a>),
    /// The task is in a section that is not preempted: preemption is off, a soft interrupt is
    /// served on the task, or it is the idle task in its loop. The code of the section relies on
    /// not being preempted, so the stack of the task is not available. On a kernel that does not
    /// preempt tasks in the kernel, each interrupted task is `Busy`, also in user mode.
    Busy(TaskId),
}

impl Running<'_> {
    /// Returns the key of the task.
    pub fn id(&self) -> TaskId {
        match self {
            Self::Preemptible(task) => task.id(),
            Self::Busy(id) => *id,
        }
    }
}

/// The tasks of a CPU that was interrupted.
pub struct Interrupted<'a> {
    /// The task that was running on the CPU.
    pub running: Running<'a>,
    /// The CPU's idle task. `None` if that is the task that was running.
    pub idle: Option<Quiescent<'a>>,
}

impl Interrupted<'_> {
    /// # Safety
    ///
    /// For as long as the value lives, the code runs in a call by `rlp_on_cpus()`, with
    /// interrupts off. The task `caller` has called `rlp_on_cpus()`.
    unsafe fn here(caller: *const bindings::task_struct) -> Self {
        let current = Task::current_raw();
        // SAFETY: The function accepts any number.
        let idle = unsafe { rlp_bindings::rlp_idle_task(CpuId::current().as_u32() as c_int) };
        // NULL until the gate is open.
        let is_other = !idle.is_null() && idle != current;
        // SAFETY: This is a call by `rlp_on_cpus()`, by the contract.
        let running = if unsafe { rlp_bindings::rlp_is_preemptible_here(caller) } {
            // SAFETY: The task is the current task.
            Running::Preemptible(unsafe { Quiescent::assume(current) })
        } else {
            Running::Busy(TaskId::from_raw(current))
        };
        // SAFETY: The idle task is never freed; it is that of this CPU and cannot start to run
        // before interrupts are on again.
        let idle = is_other.then(|| unsafe { Quiescent::assume(idle) });
        Self { running, idle }
    }
}

/// The action of an interrupted CPU after the interrupt.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum AfterInterrupt {
    /// The CPU continues the task that it interrupted.
    Resume,
    /// The CPU switches to another task and back, as soon as the kernel may preempt the task.
    Reschedule,
}

/// Interrupts the online CPUs of `cpus`, calls `f` there with the tasks that were interrupted, and
/// waits for all calls. `f` returns what the CPU does next. This does not wait for that: see
/// [`wait_for_reschedules`].
///
/// # Context
///
/// Process context, may sleep, interrupts on. `f` runs with hard interrupts off, also on
/// PREEMPT_RT: it must take no lock and allocate nothing.
///
/// # Examples
///
/// ```
/// use kernel_ext::{
///     cpu::{
///         self,
///         AfterInterrupt,
///         CpuSet, //
///     },
///     gate::Gate, //
/// };
///
/// fn reschedule_all(gate: Gate) -> Result {
///     let mut cpus = CpuSet::new()?;
///     cpu::possible().for_each(|cpu| cpus.add(cpu));
///     cpu::interrupt(gate, &cpus, |_here, _proof| AfterInterrupt::Reschedule);
///     Ok(())
/// }
/// ```
pub fn interrupt<F: Fn(&Interrupted<'_>, &ReadSide<'_>) -> AfterInterrupt + Sync>(
    _gate: Gate,
    cpus: &CpuSet,
    f: F,
) {
    struct Call<F> {
        f: F,
        caller: *const bindings::task_struct,
    }
    /// # Safety
    ///
    /// `on_each_cpu_mask()` calls this with the CPU hotplug lock held, and `info` is a `Call<F>`
    /// that outlives the call.
    unsafe extern "C" fn thunk<F: Fn(&Interrupted<'_>, &ReadSide<'_>) -> AfterInterrupt + Sync>(
        info: *mut c_void,
    ) {
        // SAFETY: `info` is a `Call<F>` by the contract.
        let call = unsafe { &*info.cast::<Call<F>>() };
        // SAFETY: Interrupts are off, and RCU watches this CPU: this is an interrupt, the idle loop
        // before it schedules, or the caller of `interrupt()`
        // (`flush_smp_call_function_queue()` in `kernel/smp.c`).
        let (proof, here) = unsafe { (ReadSide::assume(), Interrupted::here(call.caller)) };
        if (call.f)(&here, &proof) == AfterInterrupt::Reschedule {
            // SAFETY: This is a call by `rlp_on_cpus()` with the CPU hotplug lock held, and the
            // gate is open. Before the drop of `OpenGate` has ended, the stopper has run its work.
            unsafe { rlp_bindings::rlp_resched_here() }
        }
    }
    let call = Call {
        f,
        caller: Task::current_raw(),
    };
    let info = (&raw const call).cast_mut().cast();
    let _hotplug = HotplugLock::read();
    // SAFETY: `f` is `Sync`, so that CPUs can share it. `caller` is only used for comparisons.
    // `call` and `cpus` outlive this call, which waits for all CPUs.
    unsafe { rlp_bindings::rlp_on_cpus(cpus.0.as_raw(), Some(thunk::<F>), info) }
}

/// Waits until every CPU has done what [`AfterInterrupt::Reschedule`] asked for. The stopper then
/// no longer needs this module's text. The drop of [`OpenGate`](crate::gate::OpenGate) calls this,
/// before the module's text is freed.
///
/// # Context
///
/// Process context, sleeps.
pub(crate) fn wait_for_reschedules() {
    for cpu in possible() {
        // SAFETY: The CPU is possible.
        while unsafe { rlp_bindings::rlp_resched_is_pending(cpu as c_int) } {
            fsleep(Delta::from_millis(1));
        }
    }
    // The stopper calls its functions with preemption off.
    rcu::synchronize();
}
