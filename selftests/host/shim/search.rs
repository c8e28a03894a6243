// SPDX-License-Identifier: GPL-2.0

//! A search of all reachable states. From each state that is found, the search tries each
//! operation: without a failure, and with each failure at each point at which it can occur.
//!
//! To return to a state, the search starts a new system and replays the steps that first led to the
//! state. A step that did not change the state needs no such replay: the next step is tried in the
//! same system. Most steps with a failure do not change the state.

use crate::length;
use std::{
    collections::{
        HashSet,
        VecDeque, //
    },
    fmt::Debug, //
};

/// An operation, and the failure in it, if any.
pub(crate) type Step<S> = (<S as System>::Op, Option<<S as System>::Failure>);

/// The numbers of points in an operation at which a failure could have occurred.
#[derive(Default)]
pub(crate) struct Points {
    pub(crate) allocations: usize,
    pub(crate) callbacks: usize,
    /// The changes of the text.
    pub(crate) changes: usize,
}

pub(crate) fn allocations(points: &Points) -> usize {
    points.allocations
}

pub(crate) fn callbacks(points: &Points) -> usize {
    points.callbacks
}

pub(crate) fn changes(points: &Points) -> usize {
    points.changes
}

/// A kind of failure: the number of points at which it can occur, and the failure at one of them,
/// counted from 0.
pub(crate) type Kind<T> = (fn(&Points) -> usize, fn(usize) -> T);

/// A system whose states are searched.
pub(crate) trait System {
    type Op: Copy + Debug;
    type Failure: Copy + Debug + 'static;
    /// Two states are equal exactly if their `Debug` output is the same.
    type State: PartialEq + Debug;

    /// Returns all operations.
    fn operations() -> Vec<Self::Op>;

    /// The kinds of failures.
    const FAILURES: &'static [Kind<Self::Failure>];

    /// Whether `op` is allowed in the present state.
    fn may(&self, op: Self::Op) -> bool;

    /// Runs the operation of `step`, and checks what must hold afterwards. Returns the points at
    /// which the operation could have failed. The result of a step with a failure is ignored.
    fn step(&mut self, step: Step<Self>) -> Points;

    /// Runs a step that has run before in the same state, so its checks need not run again.
    fn replay(&mut self, step: Step<Self>) {
        self.step(step);
    }

    /// Returns the present state.
    fn state(&self) -> Self::State;

    /// Finishes the work that is left, if any, without a request or a failure, and checks the
    /// result.
    fn rest(&mut self);
}

struct Search<S: System, F> {
    start: F,
    seen: HashSet<String>,
    /// The paths to the states from which the search must continue.
    paths: VecDeque<Vec<Step<S>>>,
    steps: usize,
}

/// A system in the state from which steps are tried.
struct Place<S: System> {
    system: S,
    state: S::State,
    /// The steps of the path to this state, and the steps since then that did not change it.
    history: Vec<Step<S>>,
}

impl<S: System> Place<S> {
    fn reach(start: impl Fn() -> S, path: &[Step<S>]) -> Self {
        let mut system = start();
        for &step in path {
            system.replay(step);
        }
        Self {
            state: system.state(),
            system,
            history: path.to_vec(),
        }
    }
}

/// Prints the steps that led to a failed check, when it is dropped. A failed check panics, which
/// drops this value. After a step without a failed check, the value is forgotten.
struct PrintOnPanic<'a, S: System>(&'a [Step<S>]);

impl<S: System> Drop for PrintOnPanic<'_, S> {
    fn drop(&mut self) {
        println!("{:#?}", self.0);
    }
}

impl<S: System, F: Fn() -> S> Search<S, F> {
    /// Runs `step` in the state at the end of `path`, unless it is not allowed there.
    ///
    /// If the step has changed the state, the system is dropped and `place` is left empty. The next
    /// step then makes a new system. There can be only one system at a time.
    fn try_step(
        &mut self,
        place: &mut Option<Place<S>>,
        path: &[Step<S>],
        step: Step<S>,
    ) -> Points {
        let Place {
            system,
            state,
            history,
        } = place.get_or_insert_with(|| Place::reach(&self.start, path));
        if !system.may(step.0) {
            return Points::default();
        }
        history.push(step);
        let print = PrintOnPanic::<S>(history);
        let points = system.step(step);
        self.steps += 1;
        let after = system.state();
        // Most steps change nothing, and it is faster to compare two states than to format one.
        let changed = after != *state;
        if changed && self.seen.insert(format!("{after:?}")) {
            self.paths.push_back([path, &[step]].concat());
            system.rest();
        }
        std::mem::forget(print);
        if changed {
            *place = None;
        }
        points
    }

    fn try_everything(&mut self, path: &[Step<S>], failures: bool) {
        let mut place = None;
        for op in S::operations() {
            let points = self.try_step(&mut place, path, (op, None));
            if !failures {
                continue;
            }
            for (count, failure) in S::FAILURES {
                for at in 0..count(&points) {
                    self.try_step(&mut place, path, (op, Some(failure(at))));
                }
            }
        }
    }
}

/// Searches all states that can be reached from the system that `start` returns.
pub(crate) fn explore<S: System>(start: impl Fn() -> S) {
    search(start, 1);
}

/// Like [`explore`], but a short run tries failures only in each fourth state that it finds.
pub(crate) fn explore_at_length<S: System>(start: impl Fn() -> S) {
    search(start, if length::is_full() { 1 } else { 4 });
}

/// Searches all states, and tries failures in one of `share` states.
fn search<S: System>(start: impl Fn() -> S, share: usize) {
    let mut search = Search {
        start,
        seen: HashSet::new(),
        paths: VecDeque::from([vec![]]),
        steps: 0,
    };
    let mut number = 0;
    while let Some(path) = search.paths.pop_front() {
        search.try_everything(&path, number % share == 0);
        number += 1;
    }
    println!("{} states, {} steps", search.seen.len(), search.steps);
    assert!(search.seen.len() > 100);
}
