// SPDX-License-Identifier: GPL-2.0

//! The transition, on tasks that call two functions which are patched together.

use crate::{
    explore,
    gate::Gate,
    must_fail,
    patch::Patch,
    plan::Plan,
    prelude::*,
    step::{Move, PatchId},
    transition::Transition,
    universe::Universe,
    view::{View, VIEW},
    world::{is, world, Broken, Task, CALLEE, CALLER},
};
use loom::thread::{self, JoinHandle};

/// Preemptions up to which transitions are explored. The twins are found with less.
const BOUND: Option<usize> = Some(4);

/// What must not be.
const FOUND: [&str; 4] = ["mixed", "freed", "gone", "Causality violation"];

struct Machine {
    patches: Vec<Patch>,
    step: Move,
}

impl Machine {
    /// The patch is enabled; it goes.
    fn going() -> Self {
        Self::with(1, Move::Out(PatchId(1)))
    }

    /// The patch comes; nobody has seen it yet.
    fn coming() -> Self {
        Self::with(1, Move::In(PatchId(1)))
    }

    /// A patch is enabled; another comes in its place.
    fn replacing() -> Self {
        Self::with(2, Move::Replacing(PatchId(2)))
    }

    /// With patches of the same two functions, of which those of the old universe are enabled.
    fn with(patches: usize, step: Move) -> Self {
        let patches: Vec<_> = (1..=patches)
            .map(|id| Patch::of(id, [CALLER, CALLEE]))
            .collect();
        let enabled = (patches.iter()).filter(|patch| step.has(patch.id, Universe::Old));
        let enabled = &patches[..enabled.count()];
        let redirects = Plan::new(enabled.iter(), Move::Still).unwrap().redirects();
        let view = View {
            redirects: redirects.unwrap(),
            moving: None,
        };
        drop(VIEW.publish(Some(KBox::new(view, GFP_KERNEL).unwrap())));
        Self { patches, step }
    }

    fn plan(&self) -> Plan<'_> {
        Plan::new(self.patches.iter(), self.step).unwrap()
    }

    fn start(&self) -> Transition {
        Transition::start(&self.plan(), self.step, Gate).unwrap()
    }

    /// Changes its direction half-way.
    fn turn_round(&self, mut transition: Transition, threads: Vec<JoinHandle<()>>) {
        transition.sweep();
        transition.reverse(&self.plan()).unwrap();
        assert_eq!(transition.target, Universe::Old);
        self.finish(transition, threads);
    }

    /// Ends it, and then patches go that should.
    fn complete(&self, transition: Transition) {
        assert!(transition.is_done() || is(Broken::CompleteEarly));
        transition.conclude(&self.plan()).unwrap();
        let target = transition.target;
        drop(transition);
        let ids = self.patches.iter().map(|patch| patch.id);
        let gone = ids.filter(|&id| !self.step.has(id, target));
        world().gone.borrow_mut().extend(gone);
    }

    /// Goes on until everybody has moved; a task that has left the CPU for good is the worst case.
    fn finish(&self, mut transition: Transition, mut threads: Vec<JoinHandle<()>>) {
        transition.sweep();
        if !transition.is_done() && !is(Broken::CompleteEarly) {
            threads.drain(..).for_each(join);
            transition.sweep();
            assert!(transition.is_done(), "still in the old universe");
        }
        self.complete(transition);
        threads.drain(..).for_each(join);
        assert!(!world().mixed.get(), "mixed universes in one call");
    }
}

fn join(thread: JoinHandle<()>) {
    thread.join().unwrap();
}

/// A task that makes a system call, sleeps, makes another, and exits.
fn worker(task: Task) -> JoinHandle<()> {
    thread::spawn(move || {
        task.syscall();
        task.sleep();
        task.syscall();
        task.exit();
    })
}

fn listed() -> Task {
    let task = Task::new();
    task.list();
    task
}

/// One task, a patch that goes.
fn one_task() {
    let machine = Machine::going();
    let threads = vec![worker(listed())];
    let transition = machine.start();
    machine.finish(transition, threads);
}

/// One task, a patch that comes.
fn coming() {
    let machine = Machine::coming();
    let threads = vec![worker(listed())];
    let transition = machine.start();
    machine.finish(transition, threads);
}

/// One task, a patch that replaces another.
fn replacing() {
    let machine = Machine::replacing();
    let threads = vec![worker(listed())];
    let transition = machine.start();
    machine.finish(transition, threads);
}

/// A task that sleeps inside the patched function.
fn asleep_inside() {
    let machine = Machine::going();
    let task = listed();
    let thread = thread::spawn(move || {
        task.syscall_asleep();
        task.exit();
    });
    let transition = machine.start();
    machine.finish(transition, vec![thread]);
}

/// A task that forks while it is enrolled.
fn fork() {
    let machine = Machine::going();
    let task = listed();
    let parent = thread::spawn(move || {
        let child = task.fork();
        let child = thread::spawn(move || {
            child.syscall();
            child.exit();
        });
        task.exit();
        join(child);
    });
    let transition = machine.start();
    machine.finish(transition, vec![parent]);
}

/// The direction is changed half-way.
fn reversal() {
    let machine = Machine::going();
    let threads = vec![worker(listed())];
    machine.turn_round(machine.start(), threads);
}

/// A patch comes, and goes before everybody has seen it.
fn coming_reversal() {
    let machine = Machine::coming();
    let threads = vec![worker(listed())];
    machine.turn_round(machine.start(), threads);
}

/// The patch that was to be replaced stays after all.
fn replacing_reversal() {
    let machine = Machine::replacing();
    let threads = vec![worker(listed())];
    machine.turn_round(machine.start(), threads);
}

/// And changed again: the patch goes in the end.
fn reversal_twice() {
    let machine = Machine::going();
    let task = listed();
    let thread = thread::spawn(move || {
        task.syscall();
        task.exit();
    });
    let mut transition = machine.start();
    transition.reverse(&machine.plan()).unwrap();
    transition.reverse(&machine.plan()).unwrap();
    machine.finish(transition, vec![thread]);
}

/// A task that has left the list, and has something running on its stack, when all begins.
fn dying() {
    let machine = Machine::going();
    let task = Task::dying();
    let thread = thread::spawn(move || task.last_words());
    let transition = machine.start();
    machine.finish(transition, vec![thread]);
}

/// And the direction is changed.
fn dying_reversal() {
    let machine = Machine::going();
    let task = Task::dying();
    let thread = thread::spawn(move || task.last_words());
    machine.turn_round(machine.start(), vec![thread]);
}

/// It leaves the list in between.
fn unlisted_reversal() {
    let machine = Machine::going();
    let task = Task::dying();
    task.list();
    let thread = thread::spawn(move || {
        task.exit_notify();
        task.unlist();
        task.last_words();
    });
    machine.turn_round(machine.start(), vec![thread]);
}

/// It came after the transition had begun, and is still on the list when that is turned round.
fn newborn_reversal() {
    let machine = Machine::going();
    let task = Task::dying();
    let transition = machine.start();
    let thread = thread::spawn(move || {
        task.list();
        task.exit_notify();
        task.last_words();
    });
    machine.turn_round(transition, vec![thread]);
}

/// By force: calls may mix, but nobody uses what was freed, and nobody is left.
fn force() {
    let machine = Machine::going();
    let mut threads = vec![worker(listed())];
    let mut transition = machine.start();
    transition.force();
    if !transition.is_done() {
        // The task has switched itself, and has yet to count.
        threads.drain(..).for_each(join);
    }
    assert!(transition.is_done(), "nobody was to be left");
    transition.conclude(&machine.plan()).unwrap();
    // The module is pinned: its text stays.
    threads.into_iter().for_each(join);
}

/// Nobody is left to be forced: then nothing was.
fn force_nobody() {
    let machine = Machine::going();
    let mut transition = machine.start();
    assert!(transition.is_done());
    transition.force();
    assert!(!transition.forced, "nobody was forced");
    machine.complete(transition);
}

macro_rules! explored {
    ($model:ident: $($twin:ident = $broken:ident),*) => {
        mod $model {
            use super::*;

            #[test]
            fn holds() {
                explore(None, BOUND, super::$model);
            }

            $(#[test]
            fn $twin() {
                must_fail(Broken::$broken, BOUND, super::$model, &FOUND);
            })*
        }
    };
}

explored!(one_task: not_relaxed = Orderings, not_without_grace_period = GracePeriod,
    not_without_walk = Walk, not_without_holding_still = HoldStill, not_completed_early = CompleteEarly);
explored!(coming: not_without_grace_period = GracePeriod, not_without_walk = Walk,
    not_completed_early = CompleteEarly);
explored!(replacing: not_without_grace_period = GracePeriod, not_without_walk = Walk,
    not_completed_early = CompleteEarly);
explored!(asleep_inside: not_without_walk = Walk, not_completed_early = CompleteEarly);
explored!(fork: not_without_task_list_lock = TaskList);
explored!(reversal: not_without_freeze = Freeze,
    not_without_waiting_for_switches = FreezeGracePeriod, not_without_grace_period = GracePeriod);
explored!(coming_reversal: not_without_freeze = Freeze,
    not_without_waiting_for_switches = FreezeGracePeriod, not_without_walk = Walk);
explored!(replacing_reversal: not_without_freeze = Freeze,
    not_without_waiting_for_switches = FreezeGracePeriod, not_without_walk = Walk);
explored!(reversal_twice: not_without_walk = Walk);
explored!(dying: not_as_new = Dying, not_without_walk = Walk);
explored!(dying_reversal: not_as_new = Dying);
explored!(unlisted_reversal: not_without_walk = Walk);
explored!(newborn_reversal: not_like_others = Exiting);
explored!(force_nobody:);
explored!(force: not_without_grace_period = GracePeriod);
