// SPDX-License-Identifier: GPL-2.0

//! Stand-ins for the parts of `kernel_ext` that are the same on each model of a machine. A model
//! provides its tasks in `crate::task`, and its read sides in `crate::rcu`.

/// `kernel_ext::gate`, which is always open.
pub(crate) mod gate {
    #[derive(Clone, Copy)]
    pub(crate) struct Gate;
}

/// `kernel_ext::task`
pub(crate) mod task {
    use crate::task::Quiescent;

    pub(crate) enum Held<'a> {
        OffCpu(Quiescent<'a>),
        OnCpu(u32),
    }

    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) struct TaskId(pub(crate) usize);

    impl TaskId {
        pub(crate) fn as_usize(self) -> usize {
            self.0
        }
    }
}

/// `kernel_ext::stack`
pub(crate) mod stack {
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Verdict {
        Clear,
        Hit(usize),
        Unreliable,
    }
}

/// `kernel_ext::cpu`
pub(crate) mod cpu {
    use crate::task::{
        Quiescent,
        TaskId, //
    };

    pub(crate) struct HotplugLock;

    impl HotplugLock {
        pub(crate) fn read() -> Self {
            Self
        }

        pub(crate) fn is_online(&self, _cpu: u32) -> bool {
            true
        }
    }

    #[derive(Default)]
    pub(crate) struct CpuSet(pub(crate) Vec<u32>);

    impl CpuSet {
        pub(crate) fn new() -> crate::prelude::Result<Self> {
            Ok(Self::default())
        }

        pub(crate) fn clear(&mut self) {
            self.0.clear();
        }

        pub(crate) fn add(&mut self, cpu: u32) {
            if !self.0.contains(&cpu) {
                self.0.push(cpu);
            }
        }

        pub(crate) fn is_empty(&self) -> bool {
            self.0.is_empty()
        }
    }

    pub(crate) enum Running<'a> {
        Preemptible(Quiescent<'a>),
        Busy(TaskId),
    }

    impl Running<'_> {
        pub(crate) fn id(&self) -> TaskId {
            match self {
                Self::Preemptible(task) => task.id(),
                Self::Busy(id) => *id,
            }
        }
    }

    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) enum AfterInterrupt {
        Resume,
        Reschedule,
    }

    pub(crate) struct Interrupted<'a> {
        pub(crate) running: Running<'a>,
        pub(crate) idle: Option<Quiescent<'a>>,
    }
}

/// `kernel_ext::sched`
pub(crate) mod sched {
    use crate::{
        gate::Gate,
        prelude::*,
        rcu::ReadSide,
        task::{
            Quiescent,
            Task,
            TaskId, //
        }, //
    };
    use std::marker::PhantomData;

    pub(crate) trait SwitchOut {
        fn switch_out(task: Quiescent<'_>, dead: bool, proof: &ReadSide<'_>);
    }

    pub(crate) trait LeaveSyscall {
        fn leave_syscall(task: Quiescent<'_>, proof: &ReadSide<'_>);
    }

    pub(crate) trait NewTask {
        fn new_task(child: &Task, parent: TaskId, proof: &ReadSide<'_>);
    }

    /// A probe that is never called.
    pub(crate) struct SyscallExit<P>(PhantomData<P>);

    impl<P: LeaveSyscall> SyscallExit<P> {
        pub(crate) fn register(_gate: Gate) -> Result<Self> {
            KBox::new((), GFP_KERNEL)?;
            Ok(Self(PhantomData))
        }
    }
}
