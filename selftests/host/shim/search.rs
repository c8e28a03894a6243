// SPDX-License-Identifier: GPL-2.0

//! A search of everything that can be reached: from every state that was found, each operation,
//! with each thing that can go wrong, wherever it can.

use std::{
    collections::{HashSet, VecDeque},
    fmt::Debug,
};

/// An operation, and what goes wrong with it.
pub(crate) type Step<S> = (<S as System>::Op, Option<<S as System>::Trouble>);

/// What is searched.
pub(crate) trait System {
    type Op: Copy + Debug;
    type Trouble: Copy + Debug + 'static;

    /// Everything that may be done.
    fn operations() -> Vec<Self::Op>;

    /// What can go wrong when it can for the n-th time, counted from 0.
    const TROUBLES: &'static [fn(usize) -> Self::Trouble];

    /// Whether that may be done now.
    fn may(&self, op: Self::Op) -> bool;

    /// Does it, and looks at all that should be so then. Whether it came to the trouble.
    fn step(&mut self, step: Step<Self>) -> bool;

    /// What tells states from one another.
    fn state(&self) -> String;

    /// Nothing more is asked for, and nothing goes wrong: comes to rest, if there is such a thing.
    fn rest(&mut self);
}

/// No operation comes to so many points at which something can go wrong.
const MOST_POINTS: usize = 300;

struct Search<S: System, F> {
    start: F,
    seen: HashSet<String>,
    /// How to come to those that are to be gone on from.
    paths: VecDeque<Vec<Step<S>>>,
    steps: usize,
}

/// Says how it came to what was found, unless it is forgotten.
struct Told<'a, S: System>(&'a [Step<S>], Step<S>);

impl<S: System> Drop for Told<'_, S> {
    fn drop(&mut self) {
        println!("{:#?}", [self.0, &[self.1]].concat());
    }
}

impl<S: System, F: Fn() -> S> Search<S, F> {
    /// Whether it came to the trouble, if any.
    fn try_step(&mut self, path: &[Step<S>], step: Step<S>) -> bool {
        let mut system = (self.start)();
        for &step in path {
            system.step(step);
        }
        if !system.may(step.0) {
            return false;
        }
        let told = Told::<S>(path, step);
        let met = system.step(step);
        self.steps += 1;
        if self.seen.insert(system.state()) {
            self.paths.push_back([path, &[step]].concat());
            system.rest();
        }
        std::mem::forget(told);
        met
    }

    fn try_everything(&mut self, path: &[Step<S>]) {
        for op in S::operations() {
            self.try_step(path, (op, None));
            for trouble in S::TROUBLES {
                let met = |at: &usize| self.try_step(path, (op, Some(trouble(*at))));
                let points = (0..MOST_POINTS).take_while(met).count();
                assert!(points < MOST_POINTS, "{op:?} has no end");
            }
        }
    }
}

/// Searches from what `start` makes.
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
