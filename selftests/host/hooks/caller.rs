// SPDX-License-Identifier: GPL-2.0

//! The requests of the loader's registry to [`crate::hooks`], and the possible failures.

use crate::{
    hooks::{
        Hooks,
        Mode, //
    },
    prelude::*,
    promise::{
        self,
        jumps, //
    },
    search::{
        self,
        allocations,
        changes,
        Kind,
        Points,
        Step,
        System, //
    },
    text::{
        self,
        ftrace::toggle_bpf,
        Broken,
        CallTarget,
        Fault,
        Site, //
    },
    twin::must_fail, //
};

/// The fentry sites of two functions. With two, a batch can be split, and a request can leave one
/// function unchanged.
pub(crate) const SITES: [Site; 2] = [Site(0x10), Site(0x20)];

/// A subset of [`SITES`], as a bit mask.
pub(crate) type Set = u8;
const ALL: Set = 3;

pub(crate) fn is_in(set: Set, site: Site) -> bool {
    set & (site.address() >> 4) as Set != 0
}

fn sites_of(set: Set) -> impl Iterator<Item = Site> + Clone {
    SITES.into_iter().filter(move |&site| is_in(set, site))
}

/// A requested target for each of [`SITES`]: none, the original code, or one of two replacements.
/// The second replacement for the second site is at an odd address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Targets(u8);

impl Targets {
    const COUNT: u8 = 16;

    pub(crate) fn of(self, site: Site) -> Option<Option<CallTarget>> {
        let shift = if site == SITES[0] { 0 } else { 2 };
        match usize::from(self.0 >> shift & 3) {
            0 => None,
            1 => Some(None),
            nr => {
                let odd = usize::from(nr == 3 && site == SITES[1]);
                Some(CallTarget::at(site.address() + 2 * nr + odd))
            }
        }
    }

    fn pairs(self) -> impl Iterator<Item = (Site, Option<CallTarget>)> {
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
    /// Another user attaches a bpf program to the site, or detaches it.
    Bpf(Site),
}

/// A failure: of the allocation with this number, counted from 0, or of a change of the text.
#[derive(Clone, Copy, Debug)]
enum Failure {
    Allocation(usize),
    Text(Fault),
}

/// The part of the loader's registry that makes requests for hooks.
struct Caller {
    hooks: Hooks,
}

impl Caller {
    fn new(batches: bool) -> Self {
        promise::change(|promise| *promise = Default::default());
        text::boot(batches, promise::check_calls);
        let hooks = Hooks::new().unwrap();
        Self { hooks }
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

    /// Runs `op`, and counts the `points` at which it could fail.
    fn run_counted(&mut self, op: Op, points: &mut Points) -> Result {
        let run = || count_allocations(|| self.run(op));
        let ((result, allocations), changes) = text::with_fault(None, run);
        points.allocations = allocations;
        points.changes = changes;
        result
    }

    /// Updates the promise before `op`: removes the sites that `op` gives up, and adds the targets
    /// that `op` requests.
    fn rely_before(&self, op: Op) {
        promise::change(|promise| match op {
            Op::Retain(set) => promise.held.retain(|&site| is_in(set, site)),
            Op::Promote(targets) => promise.requested.extend(targets.pairs()),
            _ => (),
        });
    }

    fn rely_after(&self) {
        // ftrace is dead: the text does not change any more.
        if text::text().dead {
            return;
        }
        promise::change(|promise| {
            promise.held = self.hooked();
            promise
                .requested
                .retain(|&site, _| jumps(self.hooks.mode(site)));
        });
    }

    fn hooked(&self) -> Vec<Site> {
        let hooked = SITES.into_iter();
        hooked
            .filter(|&site| self.hooks.mode(site).is_some())
            .collect()
    }
}

impl Drop for Caller {
    /// Marks ftrace as dead, so that the drop of the hooks is not checked. Functions may still be
    /// hooked here, and the check would then fail. The loader itself drops its hooks only when it
    /// has no patches any more.
    fn drop(&mut self) {
        text::disturb(|text| text.dead = true);
    }
}

impl System for Caller {
    type Op = Op;
    type Failure = Failure;
    /// The mode of each site, as it is reported, and the text.
    type State = (Vec<Option<Mode>>, text::Text);

    fn operations() -> Vec<Op> {
        let mut all = vec![Op::Retain(0), Op::DemoteAll];
        for set in 1..=ALL {
            all.extend([Op::Hook(set), Op::Retain(set), Op::Demote(set)]);
        }
        all.extend((1..Targets::COUNT).map(|nr| Op::Promote(Targets(nr))));
        all.extend(SITES.map(Op::Bpf));
        all
    }

    const FAILURES: &'static [Kind<Failure>] = &[
        (allocations, Failure::Allocation),
        (changes, |at| Failure::Text(Fault::Refused(at, ENOMEM))),
        (changes, |at| Failure::Text(Fault::Refused(at, EBUSY))),
        (changes, |at| Failure::Text(Fault::Refused(at, EAGAIN))),
        (changes, |at| Failure::Text(Fault::Attached(at, SITES[0]))),
        (changes, |at| Failure::Text(Fault::Attached(at, SITES[1]))),
        (changes, |at| {
            Failure::Text(Fault::Death { at, changed: false })
        }),
        (changes, |at| {
            Failure::Text(Fault::Death { at, changed: true })
        }),
    ];

    /// The caller demotes a promoted function before it requests another target for it.
    fn may(&self, op: Op) -> bool {
        let Op::Promote(targets) = op else {
            return true;
        };
        let mut pairs = targets.pairs();
        text::is(Broken::Undemoted)
            || pairs.all(|(site, target)| match self.hooks.mode(site) {
                Some(Mode::HandlerAndJump(old) | Mode::Jump(old)) => Some(old) == target,
                _ => true,
            })
    }

    fn step(&mut self, (op, failure): Step<Self>) -> Points {
        let before = promise::modes(&self.hooks);
        self.rely_before(op);
        let mut points = Points::default();
        let result = match failure {
            None => self.run_counted(op, &mut points),
            Some(Failure::Allocation(nth)) => with_failure(nth, || self.run(op)).0,
            Some(Failure::Text(fault)) => text::with_fault(Some(fault), || self.run(op)).0,
        };
        let text = text::text();
        assert!(
            result.is_ok() || failure.is_some() || text.dead,
            "{result:?} without a reason"
        );
        let refused = matches!(failure, Some(Failure::Text(Fault::Refused(..))));
        promise::check_calls(&text);
        promise::check_result(op, result, refused, &before, &self.hooks);
        promise::check_modes(&self.hooks, &text);
        self.rely_after();
        points
    }

    fn state(&self) -> Self::State {
        (promise::modes(&self.hooks), text::text())
    }

    fn rest(&mut self) {}
}

/// Explores with the defect `broken` in the machine or in the caller. The search must fail with a
/// message that contains `expected`.
fn twin(broken: Broken, expected: &str) {
    text::set_broken(Some(broken));
    must_fail(
        broken,
        || search::explore(|| Caller::new(true)),
        &[expected],
    );
    text::set_broken(None);
}

#[test]
fn batches_hold() {
    search::explore(|| Caller::new(true));
}

#[test]
fn single_jumps_hold() {
    search::explore(|| Caller::new(false));
}

#[test]
fn not_without_the_handler_first() {
    twin(Broken::HandlerLost, "original code for a moment");
}

#[test]
fn not_with_unreported_deaths() {
    twin(Broken::DeathNotReported, "may jump");
}

#[test]
fn not_to_odd_addresses() {
    twin(Broken::Odd, "jumps to the byte in front of");
}

#[test]
fn not_without_demoting_first() {
    twin(Broken::Undemoted, "target that was not requested");
}
