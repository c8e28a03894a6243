// SPDX-License-Identifier: GPL-2.0

//! The promises of the loader: at every moment, after every request, and when no work is left.

use crate::{
    address::Site,
    hooks::Mode,
    module::State,
    patch::{
        Patch,
        Presence, //
    },
    prelude::*,
    rcu::ReadSide,
    registry::{
        Registry,
        REGISTRY, //
    },
    requests::Op,
    small::{
        code_of,
        machine,
        Phase,
        MODULE,
        PATCHES,
        TASK, //
    },
    step::Step,
    task::TaskId,
    text::{
        self,
        Text, //
    },
    transition::{
        Deadline,
        Transition, //
    },
    universe::Universe,
    view, //
};

/// The functions, by the number of their object: 0 is the kernel's, 1 is the module's.
const FUNCTIONS: [usize; 2] = [0, 1];

pub(crate) fn site_of(function: usize) -> Site {
    Site(code_of(0, function) + 4)
}

/// Returns the destination of a call to `function` that the task makes now.
fn destination(text: &Text, function: usize) -> usize {
    let site = site_of(function);
    let original = code_of(0, function);
    match text.jumps.get(&site) {
        Some(target) => target.address(),
        None if text.is_handled(site) => {
            let proof = ReadSide::new();
            view::target(site, TaskId::from(&TASK), &proof)
                .map_or(original, |target| target.address())
        }
        None => original,
    }
}

/// Returns the patch that the code at `destination` belongs to, or 0 for the original.
fn version(destination: usize, function: usize) -> usize {
    let mut all = (0..=2).filter(|&patch| code_of(patch, function) == destination);
    all.next().expect("the destination is in no version")
}

fn version_now(text: &Text, function: usize) -> usize {
    version(destination(text, function), function)
}

/// Whether the module can be called.
fn is_live() -> bool {
    machine(|machine| machine.modules[MODULE].state == Some(State::Live))
}

/// Checks that the task would call the same version of both functions at this moment. After
/// ftrace's death the versions may differ, because the text does not change any more.
pub(crate) fn check_calls(text: &Text) {
    if is_live() && !text.dead {
        let versions = FUNCTIONS.map(|function| version_now(text, function));
        assert_eq!(versions[0], versions[1], "mixed versions in one call");
    }
}

fn universe_of_task(transition: &Transition) -> Universe {
    let task = TaskId::from(&TASK).as_usize();
    transition.records().universe_of(task)
}

/// Returns the version that the task should call: the last patch of its universe that has the
/// function.
fn expected(registry: &Registry, function: usize) -> usize {
    let (step, universe) = match registry.transition() {
        Some(transition) => (transition.step, universe_of_task(transition)),
        None => {
            let held = |by: &Patch| Step::Trial(by.id);
            let step = registry.held_by().map_or(Step::None, held);
            (step, Universe::New)
        }
    };
    let is_there = |patch: &&Patch| patch.objects[function].presence != Presence::Absent;
    let mut patches = registry.patches().rev().filter(is_there);
    let last = patches.find(|patch| step.has(patch.id, universe));
    last.map_or(0, |patch| patch.desc.0)
}

/// The observable state, to compare the states before and after a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    versions: Vec<usize>,
    pub(crate) patches: Vec<usize>,
    /// For each patch, whether it is confirmed, and whether it is on probation.
    probation: Vec<(bool, bool)>,
    /// The patch on probation for which replaced patches are held.
    held_by: Option<usize>,
    /// The patch in transition, the target universe, and whether the transition was forced.
    step: Option<(usize, Universe, bool)>,
    /// The universe of the task.
    universe: Option<Universe>,
    phases: Vec<[Phase; 2]>,
    directories: Vec<bool>,
    refs: Vec<usize>,
}

pub(crate) fn seen() -> Seen {
    let text = text::text();
    let registry = REGISTRY.lock().unwrap();
    let machine = machine(|machine| machine.clone());
    let in_transition = registry.patch_in_transition().map(|patch| patch.desc.0);
    let transition = registry.transition();
    Seen {
        versions: FUNCTIONS
            .map(|function| version_now(&text, function))
            .into(),
        patches: registry.patches().map(|patch| patch.desc.0).collect(),
        probation: registry
            .patches()
            .map(|patch| (patch.is_confirmed(), patch.probation_left().is_some()))
            .collect(),
        held_by: registry.held_by().map(|patch| patch.desc.0),
        step: transition.map(|t| (in_transition.unwrap(), t.target, t.forced)),
        universe: transition.map(universe_of_task),
        phases: PATCHES.map(|patch| machine.modules[patch].phases).into(),
        directories: PATCHES.map(|patch| machine.modules[patch].directory).into(),
        refs: PATCHES.map(|patch| machine.modules[patch].refs).into(),
    }
}

/// Returns the patch in transition, and the deadline of that transition. Returns `None` if that
/// patch is `patch`, or is disabled because its module is stalled.
pub(crate) fn other_transition(patch: usize) -> Option<(usize, Deadline)> {
    let registry = REGISTRY.lock().unwrap();
    let other = registry.patch_in_transition()?.desc.0;
    let deadline = registry.transition()?.deadline;
    let is_stalled = machine(|machine| machine.modules[other].stalled);
    (other != patch && !is_stalled).then_some((other, deadline))
}

/// Whether `patch` was not confirmed in time. Another transition is then reversed if it takes long.
pub(crate) fn is_late(patch: usize) -> bool {
    let registry = REGISTRY.lock().unwrap();
    let mut patches = registry.patches().filter(|p| p.desc.0 == patch);
    patches.any(has_expired)
}

fn has_expired(patch: &Patch) -> bool {
    patch.probation_left().is_some_and(|left| left.is_zero())
}

/// Checks what must hold after each request, whether it succeeded or failed.
pub(crate) fn check_always() {
    let text = text::text();
    let registry = REGISTRY.lock().unwrap();
    let machine = machine(|machine| machine.clone());
    for function in FUNCTIONS {
        if function == 0 || machine.modules[MODULE].state.is_some() {
            let expected = expected(&registry, function);
            let version = version_now(&text, function);
            assert_eq!(
                version, expected,
                "function {function} is not the one expected"
            );
        }
    }
    check_calls(&text);
    if machine.modules[MODULE].state.is_none() {
        let site = site_of(1);
        let hooked = text.is_handled(site) || text.jumps.contains_key(&site);
        assert!(!hooked, "a module that is gone is hooked");
    }
    for patch in PATCHES {
        let info = &machine.modules[patch];
        let registered = registry.patches().filter(|p| p.desc.0 == patch).count();
        assert!(registered <= 1);
        let refs = registered + usize::from(info.pinned);
        assert_eq!(info.refs, refs, "references to patch {patch}");
        assert_eq!(
            info.directory,
            registered == 1,
            "directory of patch {patch}"
        );
        if registered == 0 && !info.pinned {
            assert!(!info.relocated, "relocations of patch {patch} are left");
            assert!(!info.lists, "the lists of patch {patch} are left");
            assert_eq!(info.phases, [Phase::Idle; 2], "phases of patch {patch}");
        }
    }
    let there = usize::from(machine.modules[MODULE].state.is_some());
    let announced = registry.announced().len();
    // If memory is short, a module that no patch names is loaded without being announced.
    assert!(announced <= there, "a module that is gone stays announced");
    let in_transition = registry.transition().is_some();
    assert!(
        !in_transition || machine.probes == 1,
        "no probe is registered in a transition"
    );
    let on_probation = registry.patches().any(|p| p.probation_left().is_some());
    let waits = in_transition || on_probation || registry.settling().is_some();
    assert!(!waits || machine.worker_queued, "the worker is not queued");
    let others = registry.patches().len().saturating_sub(1);
    assert!(
        registry.held_by().is_none() || others != 0,
        "a patch holds others, but there are none"
    );
    let hooked = FUNCTIONS
        .iter()
        .any(|&function| registry.mode(site_of(function)).is_some());
    assert!(
        !hooked || registry.patches().len() == 0 || machine.held_on == 1,
        "ftrace can be disabled"
    );
}

/// Checks what must hold after ftrace's death: if calls still reach a patch, its module has a
/// reference.
pub(crate) fn check_dead_ftrace() {
    let text = text::text();
    let machine = machine(|machine| machine.clone());
    for function in FUNCTIONS {
        let version = version_now(&text, function);
        let there = function == 0 || machine.modules[MODULE].state.is_some();
        if there && version != 0 {
            assert!(
                machine.modules[version].refs > 0,
                "patch {version} is called, but may be unloaded"
            );
        }
    }
}

/// Whether ftrace's death may prevent patches from being disabled: a function jumps, or may jump.
pub(crate) fn is_stuck() -> bool {
    let registry = REGISTRY.lock().unwrap();
    let mut modes = FUNCTIONS.map(site_of).into_iter();
    modes.any(|site| {
        matches!(
            registry.mode(site),
            Some(Mode::Jump(_) | Mode::HandlerAndJump(_))
        )
    })
}

/// Removes the jumps and handlers that remained in the module's text after ftrace's death: they are
/// freed with the module.
pub(crate) fn module_freed() {
    text::disturb(|text| {
        if text.dead {
            text.jumps.remove(&site_of(1));
            for sites in text.handled.values_mut() {
                sites.remove(&site_of(1));
            }
        }
    });
}

/// Checks that nothing refers to the module of `patch`, which is about to be freed.
pub(crate) fn check_unreferenced(patch: usize) {
    let seen = seen();
    let is_called = seen.versions.contains(&patch);
    assert!(!is_called, "patch {patch} is called, but is freed");
    assert!(!seen.patches.contains(&patch));
    let module = machine(|machine| machine.modules[patch].clone());
    assert!(!module.directory);
    assert!(
        !module.pinned,
        "patch {patch} is unloaded, although it is pinned"
    );
}

/// Checks that a bpf program can be attached to the function of the kernel.
pub(crate) fn check_room() {
    let attached = text::disturb(|text| {
        let attached = text.attach(site_of(0));
        text.bpf.remove(&site_of(0));
        attached
    });
    assert!(attached, "a bpf program cannot be attached");
}

/// Checks that a failed request changed nothing.
pub(crate) fn check_unchanged(before: &Seen) {
    assert_eq!(*before, seen(), "a request that failed changed something");
}

/// Checks that a successful `op` has taken effect, or has started a transition.
pub(crate) fn check_effect(op: Op, before: &Seen) {
    let after = seen();
    let registry = REGISTRY.lock().unwrap();
    match op {
        Op::Load(patch) => {
            assert!(!before.patches.contains(&patch) && after.patches.contains(&patch));
        }
        Op::Enabled(patch, enabled) => {
            let patch = registry.patches().find(|p| p.desc.0 == patch).unwrap();
            assert_eq!(registry.is_enabled(patch.id), enabled);
        }
        Op::Force(_) => {
            let transition = registry.transition().unwrap();
            assert!(transition.is_done());
            // If all tasks were switched before the force, the transition does not count as forced:
            // no calls are mixed, and the module need not stay.
            let (.., was_forced) = before.step.unwrap();
            let moved = before.universe != Some(transition.target);
            assert_eq!(transition.forced, was_forced || moved, "forced");
        }
        _ => (),
    }
}

/// Checks that no transition delays the end of another patch's probation for longer than it may.
/// Called when the worker has run, and this time has passed.
pub(crate) fn check_gives_way() {
    let registry = REGISTRY.lock().unwrap();
    let Some(transition) = registry.transition().filter(|t| !t.is_done()) else {
        return;
    };
    let moving = registry.patch_in_transition().unwrap().id;
    let mut others = registry.patches().filter(|patch| patch.id != moving);
    let is_waiting = others.any(has_expired);
    let may_go_on = transition.deadline == Deadline::Ahead;
    assert!(!is_waiting || !may_go_on, "a patch is not taken back");
}

/// Checks what must hold when no work is left.
pub(crate) fn check_at_rest() {
    let text = text::text();
    let registry = REGISTRY.lock().unwrap();
    let machine = machine(|machine| machine.clone());
    assert!(
        registry.transition().is_none(),
        "the transition does not end"
    );
    assert!(registry.settling().is_none(), "it has not settled");
    assert_eq!(machine.probes, 0, "a probe is registered for nothing");
    for module in &machine.modules {
        assert!(!module.stalled || module.pinned, "a module stays stalled");
    }
    for function in FUNCTIONS {
        let expected = expected(&registry, function);
        let there = function == 0 || machine.modules[MODULE].state.is_some();
        let mode = registry.mode(site_of(function)).filter(|_| there);
        let fits = match mode {
            None => expected == 0,
            Some(Mode::Handler(_)) => expected != 0 && !machine.promote,
            Some(Mode::Jump(target)) => target.address() == code_of(expected, function),
            Some(Mode::HandlerAndJump(_)) => false,
        };
        assert!(
            fits,
            "at rest, function {function} of version {expected} is in mode {mode:?}"
        );
    }
    let held = usize::from(registry.patches().len() != 0);
    assert_eq!(machine.held_on, held, "references to ftrace");
}
