// SPDX-License-Identifier: GPL-2.0

//! Explorations of the transition, with tasks that call two functions. Each patch replaces both.

use crate::{
    explore,
    gate::Gate,
    length,
    must_fail,
    patch::{
        code_of,
        replacement_of,
        Patch,
        STRIDE, //
    },
    plan::Plan,
    prelude::*,
    records::Blocker,
    step::{
        PatchId,
        Step, //
    },
    time,
    transition::Transition,
    universe::Universe,
    view::{
        View,
        VIEW, //
    },
    world::{
        is,
        world,
        Broken,
        Task,
        CALLEE,
        CALLER, //
    }, //
};
use loom::thread::{
    self,
    JoinHandle, //
};

/// The bound on preemptions for transitions. The violations in the twins need fewer preemptions.
fn bound() -> Option<usize> {
    Some(if length::is_full() { 4 } else { 3 })
}

/// The violations: the panic of a twin must contain one of these words.
const FOUND: [&str; 5] = ["mixed", "freed", "gone", "Causality violation", "switched"];

struct Machine {
    patches: Vec<Patch>,
    step: Step,
}

impl Machine {
    /// A patch is enabled, and is to be disabled.
    fn going() -> Self {
        Self::with(1, Step::Disable(PatchId(1)))
    }

    /// A patch is to be enabled. No task has called it yet.
    fn coming() -> Self {
        Self::with(1, Step::Enable(PatchId(1)))
    }

    /// A patch is enabled, and another patch is to replace it.
    fn replacing() -> Self {
        Self::with(2, Step::Replace(PatchId(2)))
    }

    /// Makes a machine with a number of patches of the same two functions. The patches of the old
    /// universe are enabled.
    fn with(patches: usize, step: Step) -> Self {
        let patches: Vec<_> = (1..=patches)
            .map(|id| Patch::of(id, [CALLER, CALLEE]))
            .collect();
        let enabled = (patches.iter()).filter(|patch| step.has(patch.id, Universe::Old));
        let enabled = &patches[..enabled.count()];
        let redirects = Plan::new(enabled.iter(), Step::None).unwrap().redirects();
        let view = View {
            redirects: redirects.unwrap(),
            transition: None,
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

    /// Reverses the transition after one sweep, and finishes it.
    fn reverse_and_finish(&self, mut transition: Transition, threads: Vec<JoinHandle<()>>) {
        transition.sweep();
        transition.reverse(&self.plan()).unwrap();
        assert_eq!(transition.target, Universe::Old);
        self.finish(transition, threads);
    }

    /// Concludes the transition. After that, the text of the patches that are not in the target
    /// universe is gone.
    fn complete(&self, transition: Transition) {
        assert!(transition.is_done() || is(Broken::CompleteEarly));
        transition.conclude(&self.plan()).unwrap();
        let target = transition.target;
        drop(transition);
        let ids = self.patches.iter().map(|patch| patch.id);
        let gone = ids.filter(|&id| !self.step.has(id, target));
        world().gone.borrow_mut().extend(gone);
    }

    /// Sweeps, and completes the transition. If tasks are left, this waits until they have left the
    /// CPU for the last time, and sweeps again: then all of them must be switched.
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

/// One task, and a patch that is disabled.
fn one_task() {
    let machine = Machine::going();
    let threads = vec![worker(listed())];
    let transition = machine.start();
    machine.finish(transition, threads);
}

/// One task, and a patch that is enabled.
fn coming() {
    let machine = Machine::coming();
    let threads = vec![worker(listed())];
    let transition = machine.start();
    machine.finish(transition, threads);
}

/// One task, and a patch that replaces another.
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

/// A task sleeps in the call at the end of the function. The return address is behind the function,
/// maybe in another one, but the transition must name this function.
fn asleep_in_last_call() {
    let machine = Machine::coming();
    let task = listed();
    let end = code_of(CALLER) + STRIDE / 2;
    task.sleep_in_call(end);
    let mut transition = machine.start();
    transition.sweep();
    let blockers: Vec<_> = transition.records().iter_pending().collect();
    let [record] = blockers.as_slice() else {
        panic!("the task was switched");
    };
    // A record has the lower half of the address.
    let Blocker::Inside(addr) = record.blocker() else {
        panic!("not inside a function");
    };
    let call = (end - 1) as u32;
    assert_eq!(addr as u32, call, "the function behind is named");
    drop(blockers);
    task.return_from_call();
    machine.finish(transition, vec![]);
}

/// A reversal starts the time until the first nudge again, also if tasks were nudged before.
fn nudged_after_reversal() {
    let machine = Machine::coming();
    let [old, new] = [listed(), listed()];
    old.sleep_in_call(code_of(CALLER) + 0x20);
    new.sleep_in_call(0);
    let nudges_after = |transition: &mut Transition, millis| {
        let before = world().nudges.get();
        time::set_elapsed(time::Delta::from_millis(millis));
        transition.sweep();
        time::set_elapsed(time::Delta::ZERO);
        world().nudges.get() - before
    };
    let mut transition = machine.start();
    assert_eq!(nudges_after(&mut transition, 3001), 1, "the first nudge");
    assert_eq!(nudges_after(&mut transition, 3001), 0, "the second nudge");
    // The sweeps have switched this task. It sleeps in the new code at the reversal.
    new.return_from_call();
    new.sleep_in_call(replacement_of(1, CALLER) + 0x20);
    transition.reverse(&machine.plan()).unwrap();
    assert_eq!(nudges_after(&mut transition, 3000), 0, "too early");
    assert_eq!(nudges_after(&mut transition, 3001), 1, "after the reversal");
    new.return_from_call();
    machine.finish(transition, vec![]);
}

/// A task with a pair of calls in a section that is not preempted.
fn pairs() {
    let machine = Machine::going();
    let task = listed();
    let thread = thread::spawn(move || {
        task.pair();
        task.exit();
    });
    let transition = machine.start();
    machine.finish(transition, vec![thread]);
}

/// The same, and the transition is reversed.
fn pairs_reversal() {
    let machine = Machine::going();
    let task = listed();
    let thread = thread::spawn(move || {
        task.pair();
        task.exit();
    });
    machine.reverse_and_finish(machine.start(), vec![thread]);
}

/// A soft interrupt with such a pair on a task that has left the list.
fn dying_pairs() {
    let machine = Machine::going();
    let task = Task::dying();
    let thread = thread::spawn(move || task.finish_exit_in_pairs());
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
            child.start();
            child.syscall();
            child.exit();
        });
        task.exit();
        join(child);
    });
    let transition = machine.start();
    machine.finish(transition, vec![parent]);
}

/// Makes a task that forks inside of the patched function, and its child.
fn parent_inside() -> JoinHandle<()> {
    let task = listed();
    thread::spawn(move || {
        let child = task.fork_inside();
        let child = thread::spawn(move || {
            child.start();
            child.syscall();
            child.exit();
        });
        task.exit();
        join(child);
    })
}

/// A task forks inside of the patched function. `change` is applied to the transition meanwhile.
fn fork_inside_during(change: impl FnOnce(&mut Transition, &Machine)) {
    let machine = Machine::going();
    let threads = vec![parent_inside()];
    let mut transition = machine.start();
    change(&mut transition, &machine);
    machine.finish(transition, threads);
}

fn fork_inside() {
    fork_inside_during(|_, _| ());
}

/// The transition is reversed.
fn fork_inside_reversal() {
    fork_inside_during(|transition, machine| transition.reverse(&machine.plan()).unwrap());
}

/// The record table is replaced by a larger one.
fn fork_inside_room() {
    fork_inside_during(|transition, machine| transition.grow_records(&machine.plan()).unwrap());
}

/// A patch is being disabled, and the transition is reversed.
fn reversal() {
    let machine = Machine::going();
    let threads = vec![worker(listed())];
    machine.reverse_and_finish(machine.start(), threads);
}

/// A patch is being enabled, and the transition is reversed.
fn coming_reversal() {
    let machine = Machine::coming();
    let threads = vec![worker(listed())];
    machine.reverse_and_finish(machine.start(), threads);
}

/// A patch is being replaced, and the transition is reversed: the patch stays enabled.
fn replacing_reversal() {
    let machine = Machine::replacing();
    let threads = vec![worker(listed())];
    machine.reverse_and_finish(machine.start(), threads);
}

/// A patch is being disabled, and the transition is reversed twice: the patch is disabled.
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

/// A task has left the task list before the transition starts, and a soft interrupt runs on its
/// stack.
fn dying() {
    let machine = Machine::going();
    let task = Task::dying();
    let thread = thread::spawn(move || task.finish_exit());
    let transition = machine.start();
    machine.finish(transition, vec![thread]);
}

/// The same as [`dying`], and the transition is reversed.
fn dying_reversal() {
    let machine = Machine::going();
    let task = Task::dying();
    let thread = thread::spawn(move || task.finish_exit());
    machine.reverse_and_finish(machine.start(), vec![thread]);
}

/// A task leaves the list at any time, before, during or after the start of the transition.
fn unlisted_reversal() {
    let machine = Machine::going();
    let task = Task::dying();
    task.list();
    let thread = thread::spawn(move || {
        task.exit_notify();
        task.unlist();
        task.finish_exit();
    });
    machine.reverse_and_finish(machine.start(), vec![thread]);
}

/// A task becomes visible after the transition has started, so it has no record. It may still be
/// on the list at the reversal, past `exit_notify()`.
fn newborn_reversal() {
    let machine = Machine::going();
    let task = Task::dying();
    let transition = machine.start();
    let thread = thread::spawn(move || {
        task.list();
        task.exit_notify();
        task.finish_exit();
    });
    machine.reverse_and_finish(transition, vec![thread]);
}

/// The transition is forced. Calls may mix universes, but no freed memory is used, and no task is
/// left in the old universe.
fn force() {
    let machine = Machine::going();
    let mut threads = vec![worker(listed())];
    let mut transition = machine.start();
    transition.force();
    if !transition.is_done() {
        // The task has switched its own record, and has not counted it yet.
        threads.drain(..).for_each(join);
    }
    assert!(transition.is_done(), "a task is left after the force");
    transition.conclude(&machine.plan()).unwrap();
    // The module is pinned: its text stays.
    threads.into_iter().for_each(join);
}

/// Force with no task left to switch does not mark the transition as forced.
fn force_without_blockers() {
    let machine = Machine::going();
    let mut transition = machine.start();
    assert!(transition.is_done());
    transition.force();
    assert!(!transition.forced, "forced without a task to force");
    machine.complete(transition);
}

macro_rules! explored {
    ($model:ident: $($twin:ident = $broken:ident),*) => {
        mod $model {
            use super::*;

            #[test]
            fn holds() {
                explore(None, bound(), super::$model);
            }

            $(#[test]
            fn $twin() {
                must_fail(Broken::$broken, bound(), super::$model, &FOUND);
            })*
        }
    };
}

explored!(one_task: not_relaxed = Orderings, not_without_grace_period = GracePeriod,
    not_without_walk = Walk, not_without_holding_still = HoldStill,
    not_completed_early = CompleteEarly);
explored!(coming: not_without_grace_period = GracePeriod, not_without_walk = Walk,
    not_completed_early = CompleteEarly);
explored!(replacing: not_without_grace_period = GracePeriod, not_without_walk = Walk,
    not_completed_early = CompleteEarly);
explored!(asleep_inside: not_without_walk = Walk, not_completed_early = CompleteEarly);
explored!(asleep_in_last_call: not_without_walk = Walk);
explored!(nudged_after_reversal:);
explored!(pairs: not_switched_busy = Busy);
explored!(pairs_reversal: not_switched_busy = Busy);
explored!(dying_pairs: not_switched_busy = Busy);
explored!(fork: not_without_task_list_lock = TaskList);
explored!(fork_inside: not_without_inheritance = Inherit, not_relaxed = Orderings);
explored!(fork_inside_reversal: not_without_inheritance = Inherit,
    not_without_lock_of_new_tasks = NewTasks);
explored!(fork_inside_room: not_without_inheritance = Inherit,
    not_without_lock_of_new_tasks = NewTasks);
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
explored!(force_without_blockers:);
explored!(force: not_without_grace_period = GracePeriod);
