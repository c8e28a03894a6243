// SPDX-License-Identifier: GPL-2.0

//! A search of all reachable states. From each state that is found, the search tries each
//! operation: without a failure, and with each failure at each point at which it can occur.

use std::{
    collections::{HashSet, VecDeque},
    fmt::Debug,
};

/// An operation, and the failure in it, if any.
pub(crate) type Step<S> = (<S as System>::Op, Option<<S as System>::Trouble>);

/// A system whose states are searched.
pub(crate) trait System {
    type Op: Copy + Debug;
    type Trouble: Copy + Debug + 'static;

    /// Returns all operations.
    fn operations() -> Vec<Self::Op>;

    /// The kinds of failures. The argument is the point at which the failure occurs, counted from
    /// 0.
    const TROUBLES: &'static [fn(usize) -> Self::Trouble];

    /// Whether `op` is allowed in the present state.
    fn may(&self, op: Self::Op) -> bool;

    /// Runs the operation of `step`, and checks what must hold afterwards. Returns whether the
    /// failure occurred.
    fn step(&mut self, step: Step<Self>) -> bool;

    /// Describes the present state. Two states with the same description count as the same state.
    fn state(&self) -> String;

    /// Finishes the work that is left, if any, without a request or a failure, and checks the
    /// result.
    fn rest(&mut self);
}

/// A number of failure points that no operation reaches.
const MOST_POINTS: usize = 300;

struct Search<S: System, F> {
    start: F,
    seen: HashSet<String>,
    /// The paths to the states from which the search must continue.
    paths: VecDeque<Vec<Step<S>>>,
    steps: usize,
}

/// Prints the steps that led to a failed check, when it is dropped. A failed check panics, which
/// drops this value. After a step without a failed check, the value is forgotten.
struct PrintOnPanic<'a, S: System>(&'a [Step<S>], Step<S>);

impl<S: System> Drop for PrintOnPanic<'_, S> {
    fn drop(&mut self) {
        println!("{:#?}", [self.0, &[self.1]].concat());
    }
}

impl<S: System, F: Fn() -> S> Search<S, F> {
    /// Runs `step` after the steps of `path`. Returns whether the failure of `step`, if any,
    /// occurred.
    fn try_step(&mut self, path: &[Step<S>], step: Step<S>) -> bool {
        let mut system = (self.start)();
        for &step in path {
            system.step(step);
        }
        if !system.may(step.0) {
            return false;
        }
        let print = PrintOnPanic::<S>(path, step);
        let met = system.step(step);
        self.steps += 1;
        if self.seen.insert(system.state()) {
            self.paths.push_back([path, &[step]].concat());
            system.rest();
        }
        std::mem::forget(print);
        met
    }

    fn try_everything(&mut self, path: &[Step<S>]) {
        for op in S::operations() {
            self.try_step(path, (op, None));
            for trouble in S::TROUBLES {
                let met = |at: &usize| self.try_step(path, (op, Some(trouble(*at))));
                let points = (0..MOST_POINTS).take_while(met).count();
                assert!(points < MOST_POINTS, "{op:?} has too many failure points");
            }
        }
    }
}

/// Searches all states that can be reached from the system that `start` returns.
pub(crate) fn explore<S: System>(start: impl Fn() -> S) {
    let mut search = Search {
        start,
        seen: HashSet::new(),
        paths: VecDeque::from([vec![]]),
        steps: 0,
    };
    while let Some(path) = search.paths.pop_front() {
        search.try_everything(&path);
    }
    println!("{} states, {} steps", search.seen.len(), search.steps);
    assert!(search.seen.len() > 100);
}
