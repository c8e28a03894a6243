// SPDX-License-Identifier: GPL-2.0

//! A model of a machine that [`crate::transition`] runs on. loom schedules each step of it.
//!
//! Each of loom's threads is a CPU that runs one task. A CPU holds its lock from one instruction
//! boundary to the next, which is a section with interrupts off. Another thread that takes this
//! lock interrupts the CPU. A thread that takes the lock of each CPU in turn waits for a grace
//! period. The task's own lock stands for the scheduler's locks: pi_lock and the runqueue's lock.

use crate::{
    patch::{
        code_of,
        owner_of,
        site_of, //
    },
    prelude::*,
    sched::{
        NewTask,
        SwitchOut, //
    },
    stack::Verdict,
    step::PatchId,
    task::{
        Quiescent,
        TaskId, //
    },
    transition::Probe,
    view, //
};
use loom::{
    cell::UnsafeCell,
    sync::{
        atomic::{
            AtomicBool,
            AtomicPtr,
            Ordering, //
        },
        Mutex, //
    }, //
};
use std::{
    cell::{
        Cell,
        RefCell, //
    },
    sync::Arc, //
};

/// A defect of the machine, or of the loader on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Every atomic access is Relaxed.
    Orderings,
    /// A record is switched with a load and a store.
    SwitchTwice,
    /// `Records::freeze()` does nothing.
    Freeze,
    /// Views are freed while they are read.
    GracePeriod,
    /// A reversal does not wait for switches that are in progress at `Records::freeze()`.
    FreezeGracePeriod,
    /// `tasklist_lock` protects nothing.
    TaskList,
    /// A task is not held still while its stack is walked.
    HoldStill,
    /// Every stack looks clear.
    Walk,
    /// The transition is completed while tasks are not switched yet.
    CompleteEarly,
    /// An exiting task without a record is treated as a new task.
    Dying,
    /// A task past `exit_notify()` gets a record like any other task.
    Exiting,
    /// A task is switched in a section that is not preempted.
    Busy,
    /// The probe for new tasks is not called.
    Inherit,
    /// The lock of new tasks protects nothing.
    NewTasks,
}

/// The functions that are patched together; the first calls the second.
pub(crate) const CALLER: usize = 0;
/// See [`CALLER`].
pub(crate) const CALLEE: usize = 1;

pub(crate) struct TaskInner {
    pub(crate) id: usize,
    /// The scheduler's locks, and what they protect.
    pub(crate) sched: Mutex<Sched>,
    /// Return addresses. Only the task itself, or a thread that holds the task still, may access
    /// them. loom reports any other access.
    pub(crate) stack: UnsafeCell<Vec<usize>>,
    /// The task's CPU, and whether the task runs on it.
    pub(crate) cpu: Mutex<Cpu>,
    /// The task will exit, and its CPU has an idle task.
    pub(crate) dying: bool,
    /// The task is past `exit_notify()`. It may still be on the list.
    pub(crate) exiting: AtomicBool,
    /// The task has left its CPU for the last time: `TASK_DEAD`, and then a release of `on_cpu`.
    pub(crate) dead: AtomicBool,
    /// A sweep has held the task still, and may have switched it.
    pub(crate) held: std::cell::Cell<bool>,
}

#[derive(Clone, Copy)]
pub(crate) struct Sched {
    pub(crate) on_cpu: bool,
}

pub(crate) struct Cpu {
    /// Whether the task runs on this CPU. If it does not, the CPU runs its idle task, or nothing if
    /// it has no idle task.
    pub(crate) runs: bool,
    /// Whether the task is in a section that is not preempted, or serves a soft interrupt.
    pub(crate) busy: bool,
}

#[derive(Clone)]
pub(crate) struct Task(pub(crate) Arc<TaskInner>);

/// Whether a published value was freed. Its memory is kept, so that a use after the free is
/// detected.
pub(crate) struct Published {
    pub(crate) freed: Cell<bool>,
}

pub(crate) struct World {
    pub(crate) list: Mutex<Vec<Task>>,
    /// All tasks, on the list or not. The machine itself uses this, without the list's lock.
    pub(crate) all: RefCell<Vec<Task>>,
    /// The idle task of the exiting task's CPU. The other CPUs need no idle task: it would do
    /// nothing.
    pub(crate) idle: RefCell<Option<Task>>,
    pub(crate) view: AtomicPtr<()>,
    pub(crate) published: RefCell<Vec<(usize, std::rc::Rc<Published>)>>,
    boxes: RefCell<Vec<Box<dyn std::any::Any>>>,
    /// The patches whose text was freed.
    pub(crate) gone: RefCell<Vec<PatchId>>,
    pub(crate) mixed: Cell<bool>,
    /// The number of nudges.
    pub(crate) nudges: Cell<usize>,
    /// The lock of new tasks.
    pub(crate) new_tasks: Mutex<()>,
}

thread_local! {
    // All of loom's threads run on one thread of the host.
    static WORLD: RefCell<Option<std::rc::Rc<World>>> = const { RefCell::new(None) };
    static BROKEN: Cell<Option<Broken>> = const { Cell::new(None) };
}

loom::thread_local! {
    static DYING: Cell<bool> = Cell::new(false);
}

/// Whether the current task is past `exit_notify()`.
pub(crate) fn is_dying() -> bool {
    DYING.with(Cell::get)
}

pub(crate) fn set_broken(broken: Option<Broken>) {
    BROKEN.set(broken);
}

pub(crate) fn is(what: Broken) -> bool {
    BROKEN.get() == Some(what)
}

pub(crate) fn world() -> std::rc::Rc<World> {
    WORLD.with_borrow(|world| world.clone().expect("inside run()"))
}

/// Runs `f` on a new machine.
pub(crate) fn run(f: impl FnOnce()) {
    let world = World {
        list: Mutex::new(Vec::new()),
        all: RefCell::default(),
        idle: RefCell::default(),
        view: AtomicPtr::new(std::ptr::null_mut()),
        published: RefCell::default(),
        boxes: RefCell::default(),
        gone: RefCell::default(),
        mixed: Cell::new(false),
        nudges: Cell::new(0),
        new_tasks: Mutex::new(()),
    };
    WORLD.set(Some(std::rc::Rc::new(world)));
    f();
    WORLD.set(None);
}

impl World {
    /// Keeps a published value until the machine is dropped.
    pub(crate) fn keep<T: 'static>(&self, value: Box<T>) -> *mut T {
        let ptr = Box::into_raw(value);
        // SAFETY: `ptr` was just made from a box. Only shared references are made from it later.
        self.boxes.borrow_mut().push(unsafe { Box::from_raw(ptr) });
        let published = Published {
            freed: Cell::new(false),
        };
        let entry = (ptr as usize, std::rc::Rc::new(published));
        self.published.borrow_mut().push(entry);
        ptr
    }
}

/// Waits until each CPU has passed an instruction boundary. The CPU of a child that is forked
/// meanwhile is behind its parent's in the list, so the loop reaches it.
pub(crate) fn grace_period() {
    let at = |nr: usize| world().all.borrow().get(nr).cloned();
    let mut nr = 0;
    while let Some(task) = at(nr) {
        drop(task.0.cpu.lock());
        nr += 1;
    }
}

impl Task {
    /// Makes a task on a CPU of its own. It is not on the list yet.
    pub(crate) fn new() -> Self {
        let world = world();
        let task = Self::with_id(world.all.borrow().len() + 1, true, false);
        world.all.borrow_mut().push(task.clone());
        task
    }

    /// Makes a task that will exit, and the idle task that runs after it.
    pub(crate) fn dying() -> Self {
        let world = world();
        let task = Self::with_id(world.all.borrow().len() + 1, true, true);
        world.all.borrow_mut().push(task.clone());
        *world.idle.borrow_mut() = Some(Self::with_id(1000, false, false));
        task
    }

    fn with_id(nr: usize, runs: bool, dying: bool) -> Self {
        Self(Arc::new(TaskInner {
            id: nr * 64,
            sched: Mutex::new(Sched { on_cpu: runs }),
            stack: UnsafeCell::new(Vec::new()),
            cpu: Mutex::new(Cpu { runs, busy: false }),
            dying,
            exiting: AtomicBool::new(false),
            dead: AtomicBool::new(false),
            held: Cell::new(false),
        }))
    }

    /// Stands for `exit_notify()`: from then on, the task may be removed from the list.
    pub(crate) fn exit_notify(&self) {
        let world = world();
        let _list = world.list.lock().unwrap();
        self.0.exiting.store(true, Ordering::Relaxed);
    }

    /// Runs the part of the exit after `exit_notify()`. Like a new task, the task may have no
    /// record. `DYING` distinguishes the two.
    pub(crate) fn finish_exit(&self) {
        DYING.with(|dying| dying.set(true));
        // The calls are those of a soft interrupt: they do not sleep, and hard interrupts are on.
        self.syscall();
        self.exit();
    }

    /// As `finish_exit()`, but a function that is not patched makes both calls.
    pub(crate) fn finish_exit_in_pairs(&self) {
        DYING.with(|dying| dying.set(true));
        self.pair();
        self.exit();
    }

    /// Removes the task from the list, as in `release_task()`.
    pub(crate) fn unlist(&self) {
        let world = world();
        let mut list = world.list.lock().unwrap();
        list.retain(|task| !Arc::ptr_eq(&task.0, &self.0));
    }

    /// Adds the task to the list, as in `copy_process()`.
    pub(crate) fn list(&self) {
        world().list.lock().unwrap().push(self.clone());
    }

    /// Makes a child, which has not run yet. It must be in the universe of its parent, unless a
    /// sweep was faster.
    pub(crate) fn fork(&self) -> Self {
        let child = self.step(|_| {
            let world = world();
            let child = Self::with_id(world.all.borrow().len() + 1, false, false);
            world.all.borrow_mut().push(child.clone());
            child.list();
            child
        });
        self.step(|_| {
            let proof = crate::rcu::ReadSide::new();
            let universe_of = |task: &Self| {
                let target = view::target(site_of(CALLER), task.id(), &proof);
                target.and_then(|target| owner_of(target.address()))
            };
            let mine = universe_of(self);
            if !is(Broken::Inherit) {
                Probe::new_task(&child, self.id(), &proof);
            }
            assert!(
                universe_of(&child) == mine || child.0.held.get(),
                "mixed universes of parent and child"
            );
        });
        child
    }

    /// Starts to run on the CPU, for the first time or after a sleep.
    pub(crate) fn start(&self) {
        self.0.sched.lock().unwrap().on_cpu = true;
        self.0.cpu.lock().unwrap().runs = true;
    }

    /// Calls both functions, and forks between the calls. Returns the child.
    pub(crate) fn fork_inside(&self) -> Self {
        let (callee, child) = (Cell::new(0), Cell::new(None));
        let caller = self.call(CALLER, || {
            child.set(Some(self.fork()));
            callee.set(self.call(CALLEE, || ()));
        });
        expect_one_universe(caller, callee.get());
        child.take().expect("forked above")
    }

    fn id(&self) -> TaskId {
        TaskId::from(self)
    }

    /// Runs one instruction, or several with interrupts off.
    fn step<R>(&self, f: impl FnOnce(&mut Vec<usize>) -> R) -> R {
        let _cpu = self.0.cpu.lock().unwrap();
        // SAFETY: The task itself accesses its stack. loom reports any other access.
        let result = self.0.stack.with_mut(|stack| f(unsafe { &mut *stack }));
        result
    }

    /// Calls the patched function `nr`, which runs `body`. Returns the destination of the call.
    fn call(&self, nr: usize, body: impl FnOnce()) -> usize {
        let site = site_of(nr);
        let target = self.step(|stack| {
            let proof = crate::rcu::ReadSide::new();
            let target = view::target(site, self.id(), &proof);
            // The task is in the trampoline, and its return address is behind the site.
            stack.push(site.address() + 5);
            target.map_or(code_of(nr), |target| target.address())
        });
        self.step(|stack| {
            stack.pop();
            stack.push(target + 0x20);
            assert!(is_there(target), "call of a function that is gone");
        });
        body();
        self.step(|stack| {
            stack.pop();
            assert!(is_there(target), "return into a function that is gone");
        });
        target
    }

    /// Makes a system call that calls both functions.
    pub(crate) fn syscall(&self) {
        let callee = Cell::new(0);
        let caller = self.call(CALLER, || {
            callee.set(self.call(CALLEE, || ()));
        });
        expect_one_universe(caller, callee.get());
    }

    /// The same, but the task sleeps between the two calls.
    pub(crate) fn syscall_asleep(&self) {
        let callee = Cell::new(0);
        let caller = self.call(CALLER, || {
            self.sleep();
            callee.set(self.call(CALLEE, || ()));
        });
        expect_one_universe(caller, callee.get());
    }

    /// Calls both functions in a section that is not preempted, from a function that is not
    /// patched. Between the calls, the stack shows no affected code.
    pub(crate) fn pair(&self) {
        self.0.cpu.lock().unwrap().busy = true;
        let first = self.call(CALLER, || ());
        let second = self.call(CALLEE, || ());
        self.0.cpu.lock().unwrap().busy = false;
        expect_one_universe(first, second);
    }

    /// Leaves the CPU, as in `__schedule()` and `finish_task()`.
    fn leave(&self, dead: bool) {
        let mut cpu = self.0.cpu.lock().unwrap();
        let mut sched = self.0.sched.lock().unwrap();
        let proof = crate::rcu::ReadSide::new();
        let current = Quiescent(self.clone(), std::marker::PhantomData);
        Probe::switch_out(current, dead, &proof);
        drop(proof);
        cpu.runs = false;
        sched.on_cpu = false;
        if dead {
            self.0.dead.store(true, Ordering::Release);
        }
    }

    /// Sleeps until the task is woken.
    pub(crate) fn sleep(&self) {
        self.leave(false);
        self.start();
    }

    /// Sleeps in a call with the return address `addr`, until [`return_from_call`].
    ///
    /// [`return_from_call`]: Self::return_from_call
    pub(crate) fn sleep_in_call(&self, addr: usize) {
        self.step(|stack| stack.push(addr));
        self.leave(false);
    }

    /// Returns from that call, and runs.
    pub(crate) fn return_from_call(&self) {
        self.start();
        self.step(|stack| stack.pop());
    }

    /// Exits. The task stays on the list as a zombie.
    pub(crate) fn exit(&self) {
        self.leave(true);
    }
}

/// Whether the code at `addr` can be run.
fn is_there(addr: usize) -> bool {
    owner_of(addr).is_none_or(|patch| !world().gone.borrow().contains(&patch))
}

fn expect_one_universe(caller: usize, callee: usize) {
    if owner_of(caller) != owner_of(callee) {
        world().mixed.set(true);
    }
}

pub(crate) fn walk(task: &Task, mut looked_for: impl FnMut(usize) -> bool) -> Verdict {
    if is(Broken::Walk) {
        return Verdict::Clear;
    }
    let hit = task.0.stack.with(|stack| {
        // SAFETY: The task is held still, or is the current task. loom reports any other access.
        let stack = unsafe { &*stack };
        stack.iter().copied().find(|&addr| looked_for(addr))
    });
    hit.map_or(Verdict::Clear, Verdict::Hit)
}
