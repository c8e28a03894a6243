// SPDX-License-Identifier: GPL-2.0

//! The plan: the redirects of each universe, derived from the patches and the step.
//!
//! Each plan is made from the list of patches alone. No stack of replacements has to be kept up to
//! date. If several patches replace a function, the newest of the patches in a universe wins.

use crate::{
    patch::{
        Func,
        Original,
        Patch, //
    },
    ranges::{
        Range,
        Ranges, //
    },
    redirects::{
        Redirects,
        Targets, //
    },
    step::{
        PatchId,
        Step, //
    },
    universe::Universe, //
};
use kernel::prelude::*;
use kernel_ext::{
    ftrace::{
        CallTarget,
        Site, //
    },
    sort, //
};

/// A replacement of a function by one patch. A universe calls the newest candidate whose patch
/// belongs to it.
struct Candidate<'a> {
    patch: PatchId,
    order: usize,
    func: &'a Func,
    original: &'a Original,
}

/// The plan. See the module's documentation.
pub(crate) struct Plan<'a> {
    patches: KVec<&'a Patch>,
    step: Step,
    /// The candidates for all functions, sorted by site and then by age.
    candidates: KVVec<Candidate<'a>>,
}

impl<'a> Plan<'a> {
    /// Makes the plan of `patches`, oldest first, in `step`.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(patches: impl Iterator<Item = &'a Patch>, step: Step) -> Result<Self> {
        let mut list = KVec::new();
        let mut candidates = KVVec::new();
        for (order, patch) in patches.enumerate() {
            list.push(patch, GFP_KERNEL)?;
            for (func, original) in patch.active() {
                let patch = patch.id;
                candidates.push(
                    Candidate {
                        patch,
                        order,
                        func,
                        original,
                    },
                    GFP_KERNEL,
                )?;
            }
        }
        sort::by_key(&mut candidates, |candidate| {
            (candidate.original.site, candidate.order)
        });
        Ok(Self {
            patches: list,
            step,
            candidates,
        })
    }

    /// Returns the candidates, grouped by function.
    fn functions(&self) -> impl Iterator<Item = &[Candidate<'a>]> {
        self.candidates
            .chunk_by(|a, b| a.original.site == b.original.site)
    }

    /// Returns the candidate that `universe` calls, or `None` if it calls the original.
    fn winner<'b>(
        &self,
        candidates: &'b [Candidate<'a>],
        universe: Universe,
    ) -> Option<&'b Candidate<'a>> {
        candidates
            .iter()
            .rfind(|candidate| self.step.has(candidate.patch, universe))
    }

    fn targets(&self, candidates: &[Candidate<'a>]) -> Targets {
        let target = |universe| {
            self.winner(candidates, universe)
                .map(|candidate| candidate.func.target)
        };
        Targets {
            old: target(Universe::Old),
            new: target(Universe::New),
        }
    }

    /// Returns the sites of the functions that `universe` redirects.
    pub(crate) fn sites(&self, universe: Universe) -> impl Iterator<Item = Site> + use<'_, 'a> {
        self.functions()
            .filter_map(move |candidates| Some(self.winner(candidates, universe)?.original.site))
    }

    /// Returns the sites of all functions of all patches.
    pub(crate) fn all_sites(&self) -> impl Iterator<Item = Site> + use<'_, 'a> {
        self.functions()
            .filter_map(|candidates| Some(candidates.first()?.original.site))
    }

    /// Returns the sites of the functions whose redirects differ between the universes.
    pub(crate) fn changing(&self) -> impl Iterator<Item = Site> + use<'_, 'a> {
        self.functions().filter_map(|candidates| {
            let targets = self.targets(candidates);
            (!targets.are_alike()).then_some(candidates.first()?.original.site)
        })
    }

    /// Returns the destination of each function in the new universe. `None` is the original code.
    pub(crate) fn targets_after(
        &self,
    ) -> impl Iterator<Item = (Site, Option<CallTarget>)> + use<'_, 'a> {
        self.functions().filter_map(|candidates| {
            Some((
                candidates.first()?.original.site,
                self.targets(candidates).new,
            ))
        })
    }

    /// Makes the redirects of both universes.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn redirects(&self) -> Result<Redirects> {
        self.table(|candidates| self.targets(candidates))
    }

    /// Makes the redirects for the time when every task is in `universe`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn settled(&self, universe: Universe) -> Result<Redirects> {
        self.table(|candidates| {
            let only = self.targets(candidates).choose(universe);
            Targets {
                old: only,
                new: only,
            }
        })
    }

    fn table(&self, targets: impl Fn(&[Candidate<'a>]) -> Targets) -> Result<Redirects> {
        let mut entries = KVVec::new();
        for candidates in self.functions() {
            if let Some(first) = candidates.first() {
                entries.push((first.original.site, targets(candidates)), GFP_KERNEL)?;
            }
        }
        Redirects::new(entries.iter().copied())
    }

    /// Returns the affected code: code that must not be on the stack of a task that leaves the
    /// universe `from`.
    ///
    /// There are three kinds of affected code:
    ///
    /// - for each function whose redirects differ, the function that `from` calls, with its parts
    ///   outside of its symbol;
    /// - for each such function, the bytes from its entry to the end of the fentry call: a task may
    ///   have been stopped there between the handler's decision and the jump;
    /// - the whole text of each patch that is in `from` only: a replacement may call another
    ///   function of its patch, and after a tail call the stack has no frame of the replacement.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn affected(&self, from: Universe) -> Result<Ranges> {
        let mut ranges = KVVec::new();
        for candidates in self.functions() {
            let targets = self.targets(candidates);
            let (Some(first), false) = (candidates.first(), targets.are_alike()) else {
                continue;
            };
            let original = first.original;
            ranges.push(entry_of(original), GFP_KERNEL)?;
            match self.winner(candidates, from) {
                Some(winner) => {
                    ranges.push(winner.func.replacement, GFP_KERNEL)?;
                    ranges.extend_from_slice(&winner.func.parts, GFP_KERNEL)?;
                }
                None => {
                    ranges.push(original.code, GFP_KERNEL)?;
                    ranges.extend_from_slice(&original.cold, GFP_KERNEL)?;
                }
            }
        }
        for patch in &self.patches {
            if self.step.has(patch.id, from) && !self.step.has(patch.id, from.other()) {
                let (start, size) = patch.desc.module().text();
                ranges.push(Range::of(start, size), GFP_KERNEL)?;
            }
        }
        Ok(Ranges::new(ranges))
    }
}

/// Returns the range from a function's first byte to the end of the call at its fentry site.
fn entry_of(original: &Original) -> Range {
    /// The length of the longest instruction at a site, on any architecture.
    const SITE_LEN: usize = 8;
    Range {
        start: original.code.start,
        end: original.site.address().saturating_add(SITE_LEN),
    }
}
