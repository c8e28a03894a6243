// SPDX-License-Identifier: GPL-2.0

//! Stand-ins for the parts of `kernel` and `kernel_ext` that handle tasks. There is one task.

/// `kernel::task` and `kernel_ext::task`
pub(crate) mod task {
    pub(crate) use crate::kernel_ext_parts::task::*;
    use crate::{
        gate::Gate,
        rcu::ReadSide,
        small::TASK,
        sync::aref::ARef, //
    };

    #[derive(Clone)]
    pub(crate) struct Task;

    impl Task {
        pub(crate) fn pid(&self) -> i32 {
            1
        }
    }

    pub(crate) struct Comm;

    impl Comm {
        pub(crate) fn name(&self) -> &str {
            "task"
        }
    }

    pub(crate) fn comm(_task: &Task) -> Comm {
        Comm
    }

    impl From<&Task> for TaskId {
        fn from(_task: &Task) -> Self {
            Self(64)
        }
    }

    pub(crate) struct Quiescent<'a>(pub(crate) &'a Task);

    impl Quiescent<'_> {
        pub(crate) fn id(&self) -> TaskId {
            TaskId::from(self.0)
        }
    }

    pub(crate) struct TaskList;

    impl TaskList {
        pub(crate) fn lock(_gate: Gate) -> Self {
            Self
        }

        pub(crate) fn for_each<F: FnMut(&Task) -> bool>(&self, mut visit: F) {
            visit(&TASK);
        }
    }

    pub(crate) struct NewTaskLock;

    impl NewTaskLock {
        pub(crate) fn lock() -> Self {
            Self
        }
    }

    pub(crate) fn idle_task(_cpu: u32) -> Option<ARef<Task>> {
        None
    }

    pub(crate) fn with_quiescent<R, F>(task: &Task, f: F) -> Option<R>
    where
        F: FnOnce(Held<'_>, &ReadSide<'_>) -> R,
    {
        Some(f(Held::OffCpu(Quiescent(task)), &ReadSide::new()))
    }

    pub(crate) fn exiting_on() -> Option<u32> {
        None
    }

    pub(crate) fn is_exiting(_task: &Task) -> bool {
        false
    }

    pub(crate) fn is_dead(_task: &Task) -> bool {
        false
    }

    pub(crate) fn nudge(_task: &Task) {
        crate::small::NUDGES.set(crate::small::NUDGES.get() + 1);
    }
}

/// `kernel_ext::stack`
pub(crate) mod stack {
    pub(crate) use crate::kernel_ext_parts::stack::*;
    use crate::{
        small::machine,
        task::Quiescent, //
    };

    pub(crate) fn walk<F: FnMut(usize) -> bool>(_task: &Quiescent<'_>, _looked_for: F) -> Verdict {
        if machine(|machine| machine.clear) {
            Verdict::Clear
        } else {
            Verdict::Unreliable
        }
    }
}

/// `kernel_ext::cpu`. There are no CPUs: the task never runs on one.
pub(crate) mod cpu {
    pub(crate) use crate::kernel_ext_parts::cpu::*;
    use crate::{
        gate::Gate,
        rcu::ReadSide, //
    };

    pub(crate) fn possible() -> impl Iterator<Item = u32> {
        0..0
    }

    pub(crate) fn interrupt<F: Fn(&Interrupted<'_>, &ReadSide<'_>) -> AfterInterrupt + Sync>(
        _gate: Gate,
        _cpus: &CpuSet,
        _f: F,
    ) {
    }
}

/// `kernel_ext::sched`
pub(crate) mod sched {
    pub(crate) use crate::kernel_ext_parts::sched::*;
    use crate::{
        gate::Gate,
        prelude::*,
        small::machine, //
    };
    use std::marker::PhantomData;

    pub(crate) struct SchedSwitch<P>(PhantomData<P>);

    impl<P: SwitchOut> SchedSwitch<P> {
        pub(crate) fn register(_gate: Gate) -> Result<Self> {
            KBox::new((), GFP_KERNEL)?;
            machine(|machine| machine.probes += 1);
            Ok(Self(PhantomData))
        }
    }

    impl<P> Drop for SchedSwitch<P> {
        fn drop(&mut self) {
            machine(|machine| machine.probes -= 1);
        }
    }

    /// A probe that is never called: no task is made.
    pub(crate) struct TaskNewtask<P>(PhantomData<P>);

    impl<P: NewTask> TaskNewtask<P> {
        pub(crate) fn register(_gate: Gate) -> Result<Self> {
            Ok(Self(PhantomData))
        }
    }
}

/// `kernel_ext::ftrace_switch`
pub(crate) mod ftrace_switch {
    use crate::{
        prelude::*,
        small::machine, //
    };

    pub(crate) struct FtraceEnabled;

    impl FtraceEnabled {
        pub(crate) fn new() -> Result<Self> {
            KBox::new((), GFP_KERNEL)?;
            machine(|machine| machine.held_on += 1);
            Ok(Self)
        }
    }

    impl Drop for FtraceEnabled {
        fn drop(&mut self) {
            machine(|machine| machine.held_on -= 1);
        }
    }
}
