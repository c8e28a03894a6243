// SPDX-License-Identifier: GPL-2.0

//! The search: from every state that was found, each operation, with each thing that can go wrong.

use crate::{
    hooks::{Hooks, Mode},
    prelude::*,
    promise::{self, jumps},
    text::{self, ftrace::toggle_bpf, Broken, Fault, Site},
};
use std::collections::{HashSet, VecDeque};

/// Two functions: a batch can be halved, and one can stay as it is.
pub(crate) const SITES: [Site; 2] = [0x10, 0x20];

/// Some of [`SITES`], by bits.
pub(crate) type Set = u8;
const ALL: Set = 3;

pub(crate) fn is_in(set: Set, site: Site) -> bool {
    set & (site >> 4) as Set != 0
}

fn sites_of(set: Set) -> impl Iterator<Item = Site> + Clone {
    SITES.into_iter().filter(move |&site| is_in(set, site))
}

/// For each of [`SITES`]: not asked for, the original code, or one of two replacements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Targets(u8);

impl Targets {
    const COUNT: u8 = 16;

    pub(crate) fn of(self, site: Site) -> Option<usize> {
        let shift = if site == SITES[0] { 0 } else { 2 };
        match usize::from(self.0 >> shift & 3) {
            0 => None,
            1 => Some(0),
            nr => Some(site + nr),
        }
    }

    fn pairs(self) -> impl Iterator<Item = (Site, usize)> {
        SITES
            .into_iter()
            .filter_map(move |site| Some((site, self.of(site)?)))
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    Hook(Set),
    Retain(Set),
    Demote(Set),
    Promote(Targets),
    DemoteAll,
    /// Somebody else's.
    Bpf(Site),
}

fn operations() -> Vec<Op> {
    let mut all = vec![Op::Retain(0), Op::DemoteAll];
    for set in 1..=ALL {
        all.extend([Op::Hook(set), Op::Retain(set), Op::Demote(set)]);
    }
    all.extend((1..Targets::COUNT).map(|nr| Op::Promote(Targets(nr))));
    all.extend(SITES.map(Op::Bpf));
    all
}

/// What can go wrong, at the allocation or change number `at`.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Allocation(usize),
    Text(Fault),
}

/// Every kind of it, as a function of where.
const TROUBLES: [fn(usize) -> Trouble; 8] = [
    Trouble::Allocation,
    |at| Trouble::Text(Fault::Refused(at, ENOMEM)),
    |at| Trouble::Text(Fault::Refused(at, EBUSY)),
    |at| Trouble::Text(Fault::Refused(at, EAGAIN)),
    |at| Trouble::Text(Fault::Attached(at, SITES[0])),
    |at| Trouble::Text(Fault::Attached(at, SITES[1])),
    |at| Trouble::Text(Fault::Death { at, changed: false }),
    |at| Trouble::Text(Fault::Death { at, changed: true }),
];

/// No operation comes to so many allocations or changes.
const MOST_POINTS: usize = 100;

type Step = (Op, Option<Trouble>);

/// The loader's registry, as far as it asks for hooks.
struct Caller {
    hooks: Hooks,
}

impl Caller {
    fn new(batches: bool) -> Self {
        promise::change(|promise| *promise = Default::default());
        text::boot(batches, promise::look);
        let hooks = Hooks::new().unwrap();
        Self { hooks }
    }

    /// A function that jumps is put back under the handler before it is to lead elsewhere.
    fn may(&self, op: Op) -> bool {
        let Op::Promote(targets) = op else {
            return true;
        };
        let mut pairs = targets.pairs();
        text::is(Broken::Undemoted)
            || pairs.all(|(site, target)| match self.hooks.mode(site) {
                Some(Mode::Both(old) | Mode::Jump(old)) => old == target,
                _ => true,
            })
    }

    fn run(&mut self, op: Op) -> Result {
        match op {
            Op::Hook(set) => self.hooks.hook(sites_of(set)),
            Op::Retain(set) => self.hooks.retain(sites_of(set)),
            Op::Demote(set) => self.hooks.demote(sites_of(set)),
            Op::Promote(targets) => self.hooks.promote(targets.pairs()),
            Op::DemoteAll => self.hooks.demote_all(),
            Op::Bpf(site) => {
                toggle_bpf(site);
                Ok(())
            }
        }
    }

    /// Whether it came to the trouble.
    fn step(&mut self, (op, trouble): Step) -> bool {
        let before = promise::modes(&self.hooks);
        self.rely_before(op);
        let (result, met) = match trouble {
            None => (self.run(op), true),
            Some(Trouble::Allocation(nth)) => with_failure(nth, || self.run(op)),
            Some(Trouble::Text(fault)) => text::with_fault(Some(fault), || self.run(op)),
        };
        let text = text::text();
        assert!(
            result.is_ok() || trouble.is_some() || text.dead,
            "{result:?} without a reason"
        );
        let refused = matches!(trouble, Some(Trouble::Text(Fault::Refused(..))));
        promise::look(&text);
        promise::kept(op, result, refused, &before, &self.hooks);
        promise::agree(&self.hooks, &text);
        self.rely_after();
        met
    }

    /// What is given up by asking for `op`, and what is asked for.
    fn rely_before(&self, op: Op) {
        promise::change(|promise| match op {
            Op::Retain(set) => promise.held.retain(|&site| is_in(set, site)),
            Op::Promote(targets) => promise.asked.extend(targets.pairs()),
            _ => (),
        });
    }

    fn rely_after(&self) {
        // Nothing comes true any more, and nothing is asked for.
        if text::text().dead {
            return;
        }
        promise::change(|promise| {
            promise.held = self.hooked();
            promise
                .asked
                .retain(|&site, _| jumps(self.hooks.mode(site)));
        });
    }

    fn hooked(&self) -> Vec<Site> {
        let hooked = SITES.into_iter();
        hooked
            .filter(|&site| self.hooks.mode(site).is_some())
            .collect()
    }

    fn state(&self) -> String {
        format!("{:?} {:?}", promise::modes(&self.hooks), text::text())
    }
}

impl Drop for Caller {
    /// What the loader does at its end is not looked at: it has no patches then.
    fn drop(&mut self) {
        text::disturb(|text| text.dead = true);
    }
}

/// Everything that can be reached.
struct Search {
    batches: bool,
    seen: HashSet<String>,
    /// How to come to those that are to be gone on from.
    paths: VecDeque<Vec<Step>>,
    steps: usize,
}

impl Search {
    /// Whether it came to the trouble, if any.
    fn try_step(&mut self, path: &[Step], step: Step) -> bool {
        let mut caller = Caller::new(self.batches);
        for &step in path {
            caller.step(step);
        }
        if !caller.may(step.0) {
            return false;
        }
        let told = Told(path, step);
        let met = caller.step(step);
        std::mem::forget(told);
        self.steps += 1;
        if self.seen.insert(caller.state()) {
            self.paths.push_back([path, &[step]].concat());
        }
        met
    }

    fn try_everything(&mut self, path: &[Step]) {
        for op in operations() {
            self.try_step(path, (op, None));
            for trouble in TROUBLES {
                let met = |at: &usize| self.try_step(path, (op, Some(trouble(*at))));
                let points = (0..MOST_POINTS).take_while(met).count();
                assert!(points < MOST_POINTS, "{op:?} has no end");
            }
        }
    }
}

/// How it came to what was found.
struct Told<'a>(&'a [Step], Step);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        println!("{:#?}", [self.0, &[self.1]].concat());
    }
}

fn explore(batches: bool) {
    let mut search = Search {
        batches,
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

/// The machine or the caller is `broken`: that must end in a panic that says `expected`.
fn must_fail(broken: Broken, expected: &str) {
    text::set_broken(Some(broken));
    let result = std::panic::catch_unwind(|| explore(true));
    text::set_broken(None);
    let Err(why) = result else {
        panic!("not found: {broken:?}");
    };
    let text = why.downcast_ref::<String>().unwrap();
    assert!(text.contains(expected), "{broken:?} found, but as: {text}");
}

#[test]
fn batches_hold() {
    explore(true);
}

#[test]
fn single_jumps_hold() {
    explore(false);
}

#[test]
fn not_without_the_handler_first() {
    must_fail(Broken::HandlerLost, "original way for a moment");
}

#[test]
fn not_with_deaths_untold() {
    must_fail(Broken::DeathUntold, "may jump");
}

#[test]
fn not_without_demoting_first() {
    must_fail(Broken::Undemoted, "jumps where nobody asked for");
}
