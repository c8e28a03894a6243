// SPDX-License-Identifier: GPL-2.0

//! The requests of operators, patches and modules to the loader, and the possible failures.

use crate::{
    complete,
    control,
    direct::AttachRequest,
    directory::{
        Files,
        Root, //
    },
    enable,
    gate::Gate,
    kernel_parts::time,
    klp::PatchDesc,
    module::{
        Events,
        Module,
        State, //
    },
    notifier::Watcher,
    patch::Presence,
    prelude::*,
    probation,
    promise,
    rcu::ReadSide,
    registry::{
        self,
        Registry,
        REGISTRY, //
    },
    retire::RetiredPatches,
    sched::SwitchOut,
    search::{
        self,
        allocations,
        callbacks,
        changes,
        Kind,
        Points,
        Step,
        System, //
    },
    settle,
    small::{
        self,
        machine,
        Flaw,
        Machine,
        MODULE,
        PATCHES,
        TASK, //
    },
    task::Quiescent,
    text::{
        self,
        Broken,
        Fault, //
    },
    transition::{
        Deadline,
        Probe, //
    },
    twin::must_fail,
    view::VIEW, //
};
use std::{
    cell::Cell,
    marker::PhantomData,
    sync::{
        Mutex,
        MutexGuard,
        PoisonError, //
    }, //
};

/// A request to the loader, or an event on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// The patch's module is loaded, and its init enables the patch.
    Load(usize),
    /// The init of the patch's module enables the patch, an operator tries to force each patch, and
    /// then the init fails.
    LoadFails(usize),
    /// The module of a registered patch is removed: its init fails, some time after it has enabled
    /// the patch, or `rmmod -f` unloads the module. The task's stack does not change while the
    /// notifier waits. If affected code is on it, the notifier stalls the unload.
    Remove(usize),
    /// An operator writes to the patch's file `enabled`.
    Enabled(usize, bool),
    Force(usize),
    /// The module is loaded.
    LoadModule,
    /// The module is unloaded.
    UnloadModule,
    /// Affected code leaves the task's stack, or enters it.
    ChangeStack,
    /// The task leaves the CPU.
    SwitchOut,
    /// The worker runs.
    Work,
    /// The patch is confirmed.
    Confirm(usize),
    /// Every probation ends, and then the worker runs.
    Expire,
    /// The parameter `promote` is written.
    Promote,
    /// A bpf program is attached to the function of the kernel, and detached.
    Bpf,
}

/// A failure at the n-th point at which it can occur, counted from 0.
#[derive(Clone, Copy, Debug)]
enum Failure {
    Allocation(usize),
    Callback(usize),
    Text(Fault),
}

/// The time within which a patch must be confirmed, in seconds.
const PROBATION: u32 = 60;
/// The usual result of `Instant::elapsed()`, for any instant: long enough for all functions to
/// settle, but shorter than a probation. A transition does not count as long yet.
const BEFORE_EXPIRY: time::Delta = time::Delta::from_secs(10);
/// The result of `Instant::elapsed()` in an operation that waits past the deadline of `evict()`,
/// but ends no probation.
const LATE: time::Delta = time::Delta::from_secs(30);
/// The result of `Instant::elapsed()` in an operation that ends every probation.
const AFTER_EXPIRY: time::Delta = time::Delta::from_secs(100);

/// A machine on which the loader was just loaded. Dropping the value switches the machine off.
struct Loader {
    /// Jumps are made in batches, not one by one.
    batches: bool,
}

impl Loader {
    fn new(batches: bool, probation: u32) -> Self {
        machine(|machine| {
            *machine = Machine {
                promote: true,
                probation,
                ..Default::default()
            }
        });
        expect_waits_to_end();
        text::boot(batches, promise::check_calls);
        REGISTRY.replace(Some(Registry::new(Gate, Root).unwrap()));
        Self { batches }
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        text::disturb(|text| text.dead = true);
        machine(|machine| machine.modules[MODULE].state = None);
        REGISTRY.replace(None);
        drop(VIEW.publish(None));
    }
}

impl Loader {
    fn set_module(&self, state: Option<State>) {
        self.set_state(MODULE, state);
    }

    fn module_state(&self) -> Option<State> {
        machine(|machine| machine.modules[MODULE].state)
    }

    fn set_state(&self, module: usize, state: Option<State>) {
        machine(|machine| machine.modules[module].state = state);
    }

    /// Runs `op` with one failure in it.
    fn run_with(&self, op: Op, failure: Failure) -> Result {
        match failure {
            Failure::Allocation(nth) => with_failure(nth, || self.run(op)).0,
            Failure::Callback(nth) => with_refusal(nth, || self.run(op)).0,
            Failure::Text(fault) => text::with_fault(Some(fault), || self.run(op)).0,
        }
    }

    /// Runs `op`, and counts the `points` at which it could fail.
    fn run_counted(&self, op: Op, points: &mut Points) -> Result {
        let run = || with_refusal(usize::MAX, || self.run(op));
        let (((result, callbacks), allocations), changes) =
            text::with_fault(None, || count_allocations(run));
        *points = Points {
            allocations,
            callbacks,
            changes,
        };
        result
    }

    fn run(&self, op: Op) -> Result {
        let id = |patch| {
            let registry = REGISTRY.lock().unwrap();
            let mut patches = registry.patches();
            patches.find(|p| p.desc.0 == patch).unwrap().id
        };
        let module = Module(MODULE, PhantomData);
        match op {
            Op::Load(patch) => {
                let in_init = |now| machine(|machine| machine.modules[patch].in_init = now);
                in_init(true);
                let result =
                    PatchDesc::checked(patch).and_then(|desc| enable::enable(desc, &Files));
                in_init(false);
                result
            }
            Op::LoadFails(patch) => {
                let result = self.run(Op::Load(patch));
                self.set_state(patch, Some(State::Going));
                if result.is_ok() {
                    for patch in promise::seen().patches {
                        let _ = control::force(id(patch));
                    }
                    Watcher::going(Module(patch, PhantomData));
                    promise::check_unreferenced(patch);
                }
                self.set_state(patch, None);
                result
            }
            Op::Remove(patch) => {
                let before = promise::other_transition(patch);
                let is_late = promise::is_late(patch);
                self.set_state(patch, Some(State::Going));
                time::set_elapsed(LATE);
                time::delay::set_meanwhile(|| ());
                Watcher::going(Module(patch, PhantomData));
                expect_waits_to_end();
                let after = promise::other_transition(patch);
                if !is_late && before.is_some() && after.is_some() {
                    assert!(before == after, "another transition has changed");
                }
                let module = machine(|machine| machine.modules[patch].clone());
                // A module whose tasks were forced is pinned. `rmmod -f` frees it nevertheless.
                if !module.stalled && !module.pinned {
                    promise::check_unreferenced(patch);
                }
                // A stalled module is freed later, when its stall is dropped.
                if !module.stalled {
                    self.set_state(patch, None);
                }
                Ok(())
            }
            Op::Enabled(patch, enabled) => control::set_enabled(id(patch), enabled),
            Op::Force(patch) => control::force(id(patch)),
            Op::LoadModule => {
                self.set_module(Some(State::Coming));
                let result = Watcher::coming(module);
                self.set_module(result.is_ok().then_some(State::Live));
                result
            }
            Op::UnloadModule => {
                self.set_module(Some(State::Going));
                Watcher::going(module);
                self.set_module(None);
                promise::module_freed();
                Ok(())
            }
            Op::ChangeStack => {
                machine(|machine| machine.clear = !machine.clear);
                Ok(())
            }
            Op::SwitchOut => {
                Probe::switch_out(Quiescent(&TASK), false, &ReadSide::new());
                Ok(())
            }
            Op::Work => {
                machine(|machine| machine.worker_queued = false);
                complete::advance();
                complete::release_retired();
                Ok(())
            }
            Op::Confirm(patch) => probation::confirm(id(patch)),
            Op::Expire => {
                time::set_elapsed(AFTER_EXPIRY);
                let result = self.run(Op::Work);
                promise::check_gives_way();
                time::set_elapsed(BEFORE_EXPIRY);
                result
            }
            Op::Promote => {
                machine(|machine| machine.promote = !machine.promote);
                settle::params_changed();
                Ok(())
            }
            Op::Bpf => {
                settle::before_attach(AttachRequest::One(promise::site_of(0)));
                Ok(())
            }
        }
    }
}

/// Runs `f`, and lets its callback number `nth` fail (0 is the first). The second value is the
/// number of callbacks that did not fail.
fn with_refusal<T>(nth: usize, f: impl FnOnce() -> T) -> (T, usize) {
    machine(|machine| machine.refuse = Some(nth));
    let value = f();
    let left = machine(|machine| machine.refuse.take());
    (value, left.map_or(nth, |left| nth - left))
}

impl System for Loader {
    type Op = Op;
    type Failure = Failure;
    /// The observable state, the machine and its text. Then whether functions settle, the number of
    /// announced modules, and the deadline of the transition.
    type State = (
        promise::Seen,
        Machine,
        text::Text,
        (bool, usize, Option<Deadline>),
    );

    fn operations() -> Vec<Op> {
        let mut all = vec![
            Op::LoadModule,
            Op::UnloadModule,
            Op::ChangeStack,
            Op::SwitchOut,
            Op::Work,
            Op::Promote,
            Op::Bpf,
        ];
        for patch in PATCHES {
            all.extend([Op::Load(patch), Op::LoadFails(patch), Op::Remove(patch)]);
            all.push(Op::Force(patch));
            all.extend([true, false].map(|enabled| Op::Enabled(patch, enabled)));
            all.push(Op::Confirm(patch));
        }
        all.push(Op::Expire);
        all
    }

    const FAILURES: &'static [Kind<Failure>] = &[
        (allocations, Failure::Allocation),
        (callbacks, Failure::Callback),
        (changes, |at| Failure::Text(Fault::Refused(at, ENOMEM))),
        (changes, |at| Failure::Text(Fault::Refused(at, EBUSY))),
        (changes, |at| {
            Failure::Text(Fault::Death { at, changed: false })
        }),
        (changes, |at| {
            Failure::Text(Fault::Death { at, changed: true })
        }),
    ];

    fn may(&self, op: Op) -> bool {
        let has = |patch| promise::seen().patches.contains(&patch);
        let on_probation = machine(|machine| machine.probation != 0);
        match op {
            // Probation adds many states. Requests that do not concern it are only explored without
            // it.
            Op::LoadModule | Op::UnloadModule | Op::Promote | Op::Bpf if on_probation => false,
            // Only explored with batches: the search would take too long otherwise.
            Op::Bpf | Op::Remove(_) if !self.batches => false,
            // A module that is pinned or stalled is loaded already.
            Op::Load(patch) => machine(|machine| {
                let module = &machine.modules[patch];
                !module.pinned && !module.stalled
            }),
            // The module of a registered patch is loaded already: its init does not run again.
            Op::LoadFails(patch) => self.may(Op::Load(patch)) && !has(patch) && !text::text().dead,
            // If another patch is in transition, this is only explored with probation.
            Op::Remove(patch) => {
                self.may(Op::Load(patch))
                    && has(patch)
                    && !text::text().dead
                    && (on_probation || promise::other_transition(patch).is_none())
            }
            Op::Enabled(patch, _) | Op::Force(patch) => has(patch),
            Op::LoadModule => self.module_state().is_none(),
            Op::UnloadModule => self.module_state().is_some(),
            Op::SwitchOut | Op::ChangeStack | Op::Promote | Op::Bpf => true,
            Op::Work => machine(|machine| machine.worker_queued),
            Op::Confirm(patch) => on_probation && has(patch),
            Op::Expire => on_probation && machine(|machine| machine.worker_queued),
        }
    }

    fn replay(&mut self, (op, failure): Step<Self>) {
        let _ = match failure {
            None => self.run(op),
            Some(failure) => self.run_with(op, failure),
        };
    }

    fn step(&mut self, (op, failure): Step<Self>) -> Points {
        let before = promise::seen();
        let stuck = promise::is_stuck();
        let mut points = Points::default();
        let result = match failure {
            None => self.run_counted(op, &mut points),
            // Not explored, because evict() might never return: if ftrace is dead, a function may
            // jump into the patch for ever.
            Some(Failure::Text(Fault::Death { .. })) if matches!(op, Op::LoadFails(_)) => {
                return points;
            }
            Some(failure) => self.run_with(op, failure),
        };
        if text::text().dead {
            promise::check_dead_ftrace();
            let refused = matches!(op, Op::Enabled(..)) && result == Err(ENODEV);
            assert!(!refused || stuck, "{op:?} is refused, but nothing jumps");
            return points;
        }
        promise::check_always();
        if op == Op::Bpf && failure.is_none() {
            promise::check_room();
        }
        match result {
            Ok(()) => promise::check_effect(op, &before),
            Err(e) => {
                let expected = [EEXIST, EBUSY, EINVAL].contains(&e);
                assert!(expected || e == ENOMEM && failure.is_some(), "{e:?}");
                promise::check_unchanged(&before);
            }
        }
        points
    }

    fn state(&self) -> Self::State {
        let registry = REGISTRY.lock().unwrap();
        let settling = registry.settling().is_some();
        let announced = registry.announced().len();
        let deadline = registry.transition().map(|transition| transition.deadline);
        drop(registry);
        let machine = machine(|machine| machine.clone());
        let others = (settling, announced, deadline);
        (promise::seen(), machine, text::text(), others)
    }

    /// Clears the task's stack, and runs the worker until it has nothing to do.
    fn rest(&mut self) {
        machine(|machine| machine.clear = true);
        for _ in 0..10 {
            if self.may(Op::Work) {
                self.step((Op::Work, None));
            }
        }
        if !text::text().dead {
            promise::check_at_rest();
        }
    }
}

/// From now on, the first pause of a caller that waits for the task clears the task's stack. So
/// each wait ends before its deadline.
fn expect_waits_to_end() {
    time::set_elapsed(BEFORE_EXPIRY);
    time::delay::set_meanwhile(|| machine(|machine| machine.clear = true));
}

/// Makes a test wait for its turn: all tests use the same registry.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn batches_hold() {
    let _turn = alone();
    search::explore_at_length(|| Loader::new(true, 0));
}

#[test]
fn single_jumps_hold() {
    let _turn = alone();
    search::explore_at_length(|| Loader::new(false, 0));
}

#[test]
fn probation_holds() {
    let _turn = alone();
    search::explore_at_length(|| Loader::new(true, PROBATION));
}

#[test]
fn a_module_without_records_is_refused() {
    let _turn = alone();
    let loader = Loader::new(true, 0);
    let set = |lacks_sites| machine(|machine| machine.modules[MODULE].lacks_sites = lacks_sites);
    loader.run(Op::Load(PATCHES[0])).unwrap();
    set(true);
    assert_eq!(loader.run(Op::LoadModule), Err(ENOMEM));
    set(false);
    assert_eq!(loader.run(Op::LoadModule), Ok(()));
}

/// The transition that would restore the held patch is reversed, and tasks are forced back. Such a
/// task may be in the code of the held patch, so the module of this patch must stay.
#[test]
fn a_forced_task_may_be_in_a_held_patch() {
    let _turn = alone();
    let loader = Loader::new(true, PROBATION);
    let [held, cumulative] = PATCHES;
    let run = |op| loader.run(op).unwrap();
    let clear = |clear| machine(|machine| machine.clear = clear);
    let complete = || {
        clear(true);
        run(Op::Work);
        assert!(REGISTRY.lock().unwrap().transition().is_none());
    };
    run(Op::Load(held));
    complete();
    run(Op::Confirm(held));
    run(Op::Load(cumulative));
    complete();
    assert_eq!(promise::seen().patches, [held, cumulative]);
    // The task is switched to the held patch, and enters its code.
    run(Op::Enabled(cumulative, false));
    clear(false);
    run(Op::Enabled(cumulative, true));
    run(Op::Force(cumulative));
    complete();
    run(Op::Confirm(cumulative));
    assert_eq!(promise::seen().patches, [cumulative]);
    let is_pinned = machine(|machine| machine.modules[held].pinned);
    assert!(
        is_pinned,
        "a forced task may run in a module that can be unloaded"
    );
}

/// A cumulative patch on probation keeps other patches from being enabled only if it holds patches.
#[test]
fn a_patch_that_holds_none_is_in_no_way() {
    let _turn = alone();
    let loader = Loader::new(true, PROBATION);
    let [other, cumulative] = PATCHES;
    let run = |op| loader.run(op).unwrap();
    machine(|machine| machine.clear = true);
    run(Op::Load(cumulative));
    run(Op::Work);
    run(Op::Load(other));
    run(Op::Work);
    assert_eq!(promise::seen().patches, [cumulative, other]);
    // Both are on probation, and both are taken back.
    run(Op::Expire);
    run(Op::Expire);
    run(Op::Expire);
    run(Op::Work);
    assert!(promise::seen().patches.is_empty());
}

/// Tasks are nudged 3 s after the start, and each 15 s from then on.
#[test]
fn nudges_come_at_their_times() {
    let _turn = alone();
    let loader = Loader::new(true, 0);
    let [patch, _] = PATCHES;
    let now = time::Delta::ZERO;
    let nudges_after = |millis| {
        let before = small::NUDGES.get();
        time::set_elapsed(time::Delta::from_millis(millis));
        loader.run(Op::Work).unwrap();
        time::set_elapsed(now);
        small::NUDGES.get() - before
    };
    time::set_elapsed(now);
    loader.run(Op::Load(patch)).unwrap();
    assert_eq!([3000, 3001].map(nudges_after), [0, 1], "the first nudge");
    let later = [3001, 15_000, 15_001].map(nudges_after);
    assert_eq!(later, [0, 0, 1], "the second nudge");
}

/// A function with a bpf program cannot jump. The loader tries again after 10 s.
#[test]
fn a_function_of_bpf_is_tried_again_after_ten_seconds() {
    let _turn = alone();
    let loader = Loader::new(true, 0);
    machine(|machine| machine.clear = true);
    text::disturb(|text| assert!(text.attach(promise::site_of(0)), "bpf is refused"));
    loader.run(Op::Load(PATCHES[0])).unwrap();
    for _ in 0..3 {
        loader.run(Op::Work).unwrap();
    }
    let (_, quiet) = REGISTRY.lock().unwrap().settling().unwrap();
    assert!(quiet == time::Delta::from_secs(10));
}

/// A patch counts as retired until it is released, once. Releasing none changes nothing.
#[test]
fn a_patch_is_retired_until_it_is_released() {
    let _turn = alone();
    let loader = Loader::new(true, 0);
    let has_retired = || REGISTRY.lock().unwrap().has_retired();
    machine(|machine| machine.clear = true);
    loader.run(Op::Load(PATCHES[0])).unwrap();
    loader.run(Op::Work).unwrap();
    loader.run(Op::Enabled(PATCHES[0], false)).unwrap();
    assert!(!has_retired());
    complete::advance();
    assert!(has_retired());
    registry::release(RetiredPatches::empty());
    assert!(has_retired());
    complete::release_retired();
    assert!(!has_retired());
}

/// The module is being loaded, and was not announced. A patch for it waits with the registry
/// unlocked, so that the notifier can announce the module.
#[test]
fn a_module_that_is_not_announced_is_awaited() {
    let _turn = alone();
    let loader = Loader::new(true, 0);
    loader.set_module(Some(State::Coming));
    time::delay::set_meanwhile(|| {
        let announced = REGISTRY.lock().unwrap().announced().len();
        if announced == 0 {
            Watcher::coming(Module(MODULE, PhantomData)).unwrap();
        }
    });
    loader.run(Op::Load(PATCHES[0])).unwrap();
    let presence = REGISTRY.lock().unwrap().patches().next().unwrap().objects[1].presence;
    assert!(presence != Presence::Absent, "the module is not patched");
}

/// The same, but the module is never announced. The patch is refused after ten seconds.
#[test]
fn a_module_that_hangs_in_its_load_is_awaited_for_ten_seconds() {
    thread_local! {
        static PAUSES: Cell<usize> = const { Cell::new(0) };
    }
    let _turn = alone();
    let loader = Loader::new(true, 0);
    loader.set_module(Some(State::Coming));
    time::delay::set_meanwhile(|| PAUSES.set(PAUSES.get() + 1));
    assert_eq!(loader.run(Op::Load(PATCHES[0])), Err(EBUSY));
    // Pauses of 50 ms are between 200 look-ups.
    assert_eq!(PAUSES.get(), 199);
    assert!(promise::seen().patches.is_empty());
}

fn explore() {
    search::explore(|| Loader::new(true, 0));
}

/// Explores a machine whose text has the defect `broken`. The search must fail with a message that
/// contains one of `expected`.
fn twin(broken: Broken, expected: &[&str]) {
    let _turn = alone();
    text::set_broken(Some(broken));
    must_fail(broken, explore, expected);
    text::set_broken(None);
}

#[test]
fn not_without_the_handler_first() {
    twin(
        Broken::HandlerLost,
        &["is not the one expected", "is not in these ops"],
    );
}

#[test]
fn not_with_unreported_deaths() {
    twin(
        Broken::DeathNotReported,
        &["is called, but may be unloaded", "is called, but is freed"],
    );
}

/// Like [`twin`], for a machine with the defect `flaw`.
fn flawed(flaw: Flaw, expected: &[&str]) {
    let _turn = alone();
    small::set_flaw(Some(flaw));
    must_fail(flaw, explore, expected);
    small::set_flaw(None);
}

#[test]
fn not_without_the_worker() {
    flawed(Flaw::RequestsIgnored, &["the worker is not queued"]);
}

#[test]
fn not_with_force_while_an_init_runs() {
    flawed(
        Flaw::FailedInitLive,
        &["is unloaded, although it is pinned"],
    );
}
