// SPDX-License-Identifier: GPL-2.0

//! What the loader promises: for every moment, after every request, and when it has come to rest.

use crate::{
    address::Site,
    hooks::Mode,
    jumps::HandlerReason,
    module::State,
    patch::{Patch, Presence},
    prelude::*,
    rcu::ReadSide,
    registry::{Registry, REGISTRY},
    requests::Op,
    small::{code_of, machine, Phase, MODULE, PATCHES, TASK},
    step::Move,
    task::TaskId,
    text::{self, Text},
    transition::Transition,
    universe::Universe,
    view,
};

/// The functions: the kernel's and the module's.
const FUNCTIONS: [usize; 2] = [0, 1];

fn site_of(function: usize) -> Site {
    Site(code_of(0, function) + 4)
}

/// Where a call of `function` that the task makes now ends up.
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

/// Whose version that is: a patch's, or 0.
fn version(destination: usize, function: usize) -> usize {
    let mut all = (0..=2).filter(|&patch| code_of(patch, function) == destination);
    all.next().expect("nobody's code")
}

fn version_now(text: &Text, function: usize) -> usize {
    version(destination(text, function), function)
}

/// Whether the module can be called.
fn is_live() -> bool {
    machine(|machine| machine.modules[MODULE].state == Some(State::Live))
}

/// A moment at which the task calls both functions. What ftrace's death keeps from being
/// changed may differ.
pub(crate) fn look(text: &Text) {
    if is_live() && !text.dead {
        let versions = FUNCTIONS.map(|function| version_now(text, function));
        assert_eq!(versions[0], versions[1], "mixed versions in one call");
    }
}

fn universe_of_task(transition: &Transition) -> Universe {
    let task = TaskId::from(&TASK).as_usize();
    transition.records().universe_of(task)
}

/// The version that the task should have: the last patch of its universe that has the function.
fn expected(registry: &Registry, function: usize) -> usize {
    let (step, universe) = match registry.transition() {
        Some(transition) => (transition.step, universe_of_task(transition)),
        None => (Move::Still, Universe::New),
    };
    let is_there = |patch: &&Patch| patch.objects[function].presence != Presence::Absent;
    let mut patches = registry.patches().rev().filter(is_there);
    let last = patches.find(|patch| step.has(patch.id, universe));
    last.map_or(0, |patch| patch.desc.0)
}

/// What everything else is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    versions: Vec<usize>,
    pub(crate) patches: Vec<usize>,
    /// Which patch moves, where to, and whether somebody was forced.
    step: Option<(usize, Universe, bool)>,
    /// Where the task is.
    universe: Option<Universe>,
    phases: Vec<[Phase; 2]>,
    directories: Vec<bool>,
    refs: Vec<usize>,
}

pub(crate) fn seen() -> Seen {
    let text = text::text();
    let registry = REGISTRY.lock().unwrap();
    let machine = machine(|machine| machine.clone());
    let moving = registry.moving_patch().map(|patch| patch.desc.0);
    let transition = registry.transition();
    Seen {
        versions: FUNCTIONS
            .map(|function| version_now(&text, function))
            .into(),
        patches: registry.patches().map(|patch| patch.desc.0).collect(),
        step: transition.map(|t| (moving.unwrap(), t.target, t.forced)),
        universe: transition.map(universe_of_task),
        phases: PATCHES.map(|patch| machine.modules[patch].phases).into(),
        directories: PATCHES.map(|patch| machine.modules[patch].directory).into(),
        refs: PATCHES.map(|patch| machine.modules[patch].refs).into(),
    }
}

/// After any request, whatever came of it.
pub(crate) fn holds() {
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
    look(&text);
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
            assert!(!info.relocated, "patch {patch} has left with relocations");
            assert_eq!(info.phases, [Phase::Idle; 2], "patch {patch} has left");
        }
    }
    let there = usize::from(machine.modules[MODULE].state.is_some());
    let announced = registry.announced().len();
    // Without memory, one that no patch is for comes unnoticed.
    assert!(announced <= there, "a module that is gone stays announced");
    let moving = registry.transition().is_some();
    assert!(
        !moving || machine.probes == 1,
        "nobody watches the scheduler"
    );
    let waits = moving || registry.settling_since().is_some();
    assert!(!waits || machine.asked, "nobody comes to go on");
    let hooked = FUNCTIONS
        .iter()
        .any(|&function| registry.mode(site_of(function)).is_some());
    assert!(
        !hooked || registry.patches().len() == 0 || machine.held_on == 1,
        "ftrace can be switched off"
    );
}

/// After ftrace's death: code that is called has not been let go.
pub(crate) fn stays() {
    let text = text::text();
    let machine = machine(|machine| machine.clone());
    for function in FUNCTIONS {
        let version = version_now(&text, function);
        let there = function == 0 || machine.modules[MODULE].state.is_some();
        if there && version != 0 {
            assert!(
                machine.modules[version].refs > 0,
                "patch {version} is called, and may go"
            );
        }
    }
}

/// Whether ftrace's death is in the way of whoever goes: something jumps, or may.
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

/// What ftrace's death kept in the module's text is freed with it.
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

/// The module of `patch` is about to be freed: nobody refers to it.
pub(crate) fn has_left(patch: usize) {
    let seen = seen();
    assert!(!seen.patches.contains(&patch) && !seen.versions.contains(&patch));
    let module = machine(|machine| machine.modules[patch].clone());
    assert!(!module.directory);
    assert!(
        !module.pinned,
        "patch {patch} goes, and was to stay for ever"
    );
}

/// A request that failed changed nothing.
pub(crate) fn unchanged(before: &Seen) {
    assert_eq!(*before, seen(), "a request that failed changed something");
}

/// What `op` asked for is on its way.
pub(crate) fn fulfilled(op: Op, before: &Seen) {
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
            // Nobody's calls are mixed if nobody was left: then its module need not stay.
            let (.., was_forced) = before.step.unwrap();
            let moved = before.universe != Some(transition.target);
            assert_eq!(transition.forced, was_forced || moved, "forced");
        }
        _ => (),
    }
}

/// Nothing is left to be done.
pub(crate) fn rests() {
    let text = text::text();
    let registry = REGISTRY.lock().unwrap();
    let machine = machine(|machine| machine.clone());
    assert!(
        registry.transition().is_none(),
        "the transition does not end"
    );
    assert!(registry.settling_since().is_none(), "it does not settle");
    assert_eq!(machine.probes, 0, "the scheduler is watched for nobody");
    for function in FUNCTIONS {
        let expected = expected(&registry, function);
        let there = function == 0 || machine.modules[MODULE].state.is_some();
        let mode = registry.mode(site_of(function)).filter(|_| there);
        let fits = match mode {
            None => expected == 0,
            // Somebody else was there when it was to jump.
            Some(Mode::Handler(HandlerReason::Taken)) => expected != 0,
            Some(Mode::Handler(_)) => expected != 0 && !machine.promote,
            Some(Mode::Jump(target)) => target.address() == code_of(expected, function),
            Some(Mode::HandlerAndJump(_)) => false,
        };
        assert!(
            fits,
            "function {function} of version {expected} rests as {mode:?}"
        );
    }
    let held = usize::from(registry.patches().len() != 0);
    assert_eq!(machine.held_on, held, "what holds ftrace on");
}
