// SPDX-License-Identifier: GPL-2.0

//! Stand-ins for the parts of `kernel` and `kernel_ext` that the transition uses. They work on
//! [`crate::world`].

/// `kernel_ext::rcu`
pub(crate) mod rcu {
    use crate::{
        prelude::*,
        world::{
            self,
            world,
            Broken,
            Published, //
        }, //
    };
    use std::{
        cell::RefCell,
        marker::PhantomData,
        rc::Rc,
        sync::atomic::Ordering, //
    };

    /// A read side that records each published value that was read in it. When it ends, none of
    /// these values may have been freed.
    pub(crate) struct ReadSide<'a> {
        reads: RefCell<Vec<Rc<Published>>>,
        _section: PhantomData<&'a ()>,
    }

    impl ReadSide<'_> {
        pub(crate) fn new() -> Self {
            Self {
                reads: RefCell::default(),
                _section: PhantomData,
            }
        }
    }

    impl Drop for ReadSide<'_> {
        fn drop(&mut self) {
            let freed = self.reads.borrow().iter().any(|read| read.freed.get());
            assert!(!freed, "freed under a reader");
        }
    }

    pub(crate) struct RcuBox<T>(PhantomData<T>);

    // SAFETY: The value itself is empty: the data is in the world, and loom runs one thread at a
    // time.
    unsafe impl<T> Sync for RcuBox<T> {}

    pub(crate) struct Retired(Option<Rc<Published>>);

    fn published(ptr: *mut ()) -> Option<Rc<Published>> {
        let world = world();
        let list = world.published.borrow();
        let entry = list.iter().find(|(at, _)| *at == ptr as usize);
        entry.map(|(_, published)| published.clone())
    }

    impl<T: 'static> RcuBox<T> {
        pub(crate) const fn empty() -> Self {
            Self(PhantomData)
        }

        pub(crate) fn read<'a>(&'a self, proof: &'a ReadSide<'_>) -> Option<&'a T> {
            let order = if world::is(Broken::Orderings) {
                Ordering::Relaxed
            } else {
                Ordering::Acquire
            };
            let ptr = world().view.load(order);
            let published = published(ptr)?;
            assert!(!published.freed.get(), "read after it was freed");
            proof.reads.borrow_mut().push(published);
            // SAFETY: The world keeps each published value until the world itself is dropped.
            unsafe { ptr.cast::<T>().as_ref() }
        }

        pub(crate) fn publish(&self, new: Option<KBox<T>>) -> Retired {
            let new = match new {
                Some(new) => world().keep(new.into_inner()).cast(),
                None => std::ptr::null_mut(),
            };
            let order = if world::is(Broken::Orderings) {
                Ordering::Relaxed
            } else {
                Ordering::AcqRel
            };
            Retired(published(world().view.swap(new, order)))
        }
    }

    impl Drop for Retired {
        fn drop(&mut self) {
            if let Some(published) = &self.0 {
                if !world::is(Broken::GracePeriod) {
                    world::grace_period();
                }
                published.freed.set(true);
            }
        }
    }

    pub(crate) fn synchronize() {
        if !world::is(Broken::FreezeGracePeriod) {
            world::grace_period();
        }
    }
}

/// `kernel::task` and `kernel_ext::task`
pub(crate) mod task {
    use crate::{
        gate::Gate,
        rcu::ReadSide,
        sync::aref::ARef,
        world::{
            self,
            world,
            Broken, //
        }, //
    };
    pub(crate) use crate::{
        kernel_ext_parts::task::*,
        world::Task, //
    };
    use loom::sync::{
        atomic::Ordering,
        MutexGuard, //
    };
    use std::rc::Rc;

    impl From<&Task> for TaskId {
        fn from(task: &Task) -> Self {
            Self(task.0.id)
        }
    }

    pub(crate) struct Quiescent<'a>(pub(crate) Task, pub(crate) std::marker::PhantomData<&'a ()>);

    impl Quiescent<'_> {
        pub(crate) fn id(&self) -> TaskId {
            TaskId::from(&self.0)
        }
    }

    /// Holds the lock of the task list.
    pub(crate) struct TaskList {
        guard: Option<MutexGuard<'static, Vec<Task>>>,
        _world: Rc<world::World>,
    }

    impl TaskList {
        pub(crate) fn lock(_gate: Gate) -> Self {
            let world = world();
            let guard =
                (!world::is(Broken::TaskList)).then(|| {
                    let guard = world.list.lock().unwrap();
                    // SAFETY: The world is kept below, and dropped after the guard.
                    unsafe {
                        std::mem::transmute::<
                            MutexGuard<'_, Vec<Task>>,
                            MutexGuard<'static, Vec<Task>>,
                        >(guard)
                    }
                });
            Self {
                guard,
                _world: world,
            }
        }

        pub(crate) fn for_each<F: FnMut(&Task) -> bool>(&self, mut visit: F) {
            let tasks = match &self.guard {
                Some(list) => list.to_vec(),
                None => world().list.lock().unwrap().to_vec(),
            };
            let _ = tasks.iter().all(|task| visit(task));
        }
    }

    /// Holds the lock of new tasks.
    pub(crate) struct NewTaskLock {
        _guard: Option<MutexGuard<'static, ()>>,
        _world: Rc<world::World>,
    }

    impl NewTaskLock {
        pub(crate) fn lock() -> Self {
            let world = world();
            let guard = (!world::is(Broken::NewTasks)).then(|| {
                let guard = world.new_tasks.lock().unwrap();
                // SAFETY: The world is kept below, and dropped after the guard.
                unsafe { std::mem::transmute::<MutexGuard<'_, ()>, MutexGuard<'static, ()>>(guard) }
            });
            Self {
                _guard: guard,
                _world: world,
            }
        }
    }

    pub(crate) fn idle_task(_cpu: u32) -> Option<ARef<Task>> {
        world().idle.borrow().as_ref().map(ARef::from)
    }

    pub(crate) fn with_quiescent<R, F>(task: &Task, f: F) -> Option<R>
    where
        F: FnOnce(Held<'_>, &ReadSide<'_>) -> R,
    {
        let held = Quiescent(task.clone(), std::marker::PhantomData);
        let sched = task.0.sched.lock().unwrap();
        let running = sched.on_cpu;
        if !running {
            task.0.held.set(true);
        }
        if world::is(Broken::HoldStill) {
            drop(sched);
            return Some(f(Held::OffCpu(held), &ReadSide::new()));
        }
        let held = if running {
            Held::OnCpu(0)
        } else {
            Held::OffCpu(held)
        };
        Some(f(held, &ReadSide::new()))
    }

    pub(crate) fn exiting_on() -> Option<u32> {
        (world::is_dying() && !world::is(Broken::Dying)).then_some(0)
    }

    pub(crate) fn is_exiting(task: &Task) -> bool {
        task.0.exiting.load(Ordering::Relaxed) && !world::is(Broken::Exiting)
    }

    /// The caller need not hold the task still. In the kernel, too, this takes no lock.
    pub(crate) fn is_dead(task: &Task) -> bool {
        task.0.dead.load(Ordering::Acquire)
    }

    pub(crate) fn nudge(_task: &Task) {
        let nudges = &world().nudges;
        nudges.set(nudges.get() + 1);
    }
}

/// `kernel_ext::stack`
pub(crate) mod stack {
    pub(crate) use crate::kernel_ext_parts::stack::*;
    use crate::{
        task::Quiescent,
        world, //
    };

    pub(crate) fn walk<F: FnMut(usize) -> bool>(task: &Quiescent<'_>, looked_for: F) -> Verdict {
        world::walk(&task.0, looked_for)
    }
}

/// `kernel_ext::cpu`
pub(crate) mod cpu {
    pub(crate) use crate::kernel_ext_parts::cpu::*;
    use crate::{
        gate::Gate,
        rcu::ReadSide,
        sched::SwitchOut,
        task::{
            Quiescent,
            TaskId, //
        },
        transition::Probe,
        world::{
            is,
            world,
            Broken,
            Task, //
        }, //
    };
    use std::marker::PhantomData;

    /// Returns the CPUs that have an idle task.
    pub(crate) fn possible() -> impl Iterator<Item = u32> {
        0..u32::from(world().idle.borrow().is_some())
    }

    /// Interrupts the CPUs of all tasks: in this model, each of these CPUs has the number 0.
    pub(crate) fn interrupt<F: Fn(&Interrupted<'_>, &ReadSide<'_>) -> AfterInterrupt + Sync>(
        _gate: Gate,
        cpus: &CpuSet,
        f: F,
    ) {
        assert_eq!(cpus.0, [0]);
        let tasks = world().all.borrow().clone();
        for task in tasks {
            let cpu = task.0.cpu.lock().unwrap();
            let idle = world().idle.borrow().clone().filter(|_| task.0.dying);
            let quiescent = |task: &Task| Quiescent(task.clone(), PhantomData);
            let (running, is_idle) = match (cpu.runs, &idle) {
                (true, _) => (&task, false),
                (false, Some(idle)) => (idle, true),
                (false, None) => continue,
            };
            let is_busy = is_idle || cpu.busy;
            let here = Interrupted {
                running: if is_busy && !is(Broken::Busy) {
                    Running::Busy(TaskId::from(running))
                } else {
                    Running::Preemptible(quiescent(running))
                },
                idle: idle.as_ref().filter(|_| !is_idle).map(quiescent),
            };
            let then = f(&here, &ReadSide::new());
            // Other tasks leave their CPU by themselves in the end. The idle task leaves its CPU
            // when the stopper has to run there.
            if is_idle && then == AfterInterrupt::Reschedule {
                Probe::switch_out(quiescent(running), false, &ReadSide::new());
            }
        }
    }
}

/// `kernel_ext::sched`
pub(crate) mod sched {
    pub(crate) use crate::kernel_ext_parts::sched::*;
    use crate::{
        gate::Gate,
        prelude::*, //
    };
    use std::marker::PhantomData;

    /// A probe that is always called: the tasks of the machine call it whether it is registered or
    /// not.
    pub(crate) struct SchedSwitch<P>(PhantomData<P>);

    impl<P: SwitchOut> SchedSwitch<P> {
        pub(crate) fn register(_gate: Gate) -> Result<Self> {
            Ok(Self(PhantomData))
        }
    }

    /// As [`SchedSwitch`].
    pub(crate) struct TaskNewtask<P>(PhantomData<P>);

    impl<P: NewTask> TaskNewtask<P> {
        pub(crate) fn register(_gate: Gate) -> Result<Self> {
            Ok(Self(PhantomData))
        }
    }
}

/// `kernel_ext::ftrace`
pub(crate) mod ftrace {
    pub(crate) use crate::address::*;
}

/// The loader's `worker.rs`, which does nothing here: the tests call the sweeps themselves.
pub(crate) mod worker {
    pub(crate) struct Worker;

    pub(crate) static WORKER: Worker = Worker;

    impl Worker {
        pub(crate) fn kick(&self) {}

        pub(crate) fn after(&self, _ms: u32) {}
    }
}
