// SPDX-License-Identifier: GPL-2.0

//! The plan: what each universe calls, derived from the patches and the step.
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
        Move,
        PatchId, //
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

/// One function of one patch.
struct Use<'a> {
    patch: PatchId,
    order: usize,
    func: &'a Func,
    original: &'a Original,
}

/// The uses of all functions by all patches, sorted by site and then by age.
pub(crate) struct Plan<'a> {
    patches: KVec<&'a Patch>,
    step: Move,
    uses: KVVec<Use<'a>>,
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
    pub(crate) fn new(patches: impl Iterator<Item = &'a Patch>, step: Move) -> Result<Self> {
        let mut list = KVec::new();
        let mut uses = KVVec::new();
        for (order, patch) in patches.enumerate() {
            list.push(patch, GFP_KERNEL)?;
            for (func, original) in patch.active() {
                let patch = patch.id;
                uses.push(
                    Use {
                        patch,
                        order,
                        func,
                        original,
                    },
                    GFP_KERNEL,
                )?;
            }
        }
        sort::by_key(&mut uses, |u| (u.original.site, u.order));
        Ok(Self {
            patches: list,
            step,
            uses,
        })
    }

    /// Returns the uses, grouped by function.
    fn functions(&self) -> impl Iterator<Item = &[Use<'a>]> {
        self.uses
            .chunk_by(|a, b| a.original.site == b.original.site)
    }

    /// Returns the use that `universe` calls, if it does not call the original.
    fn winner<'b>(&self, uses: &'b [Use<'a>], universe: Universe) -> Option<&'b Use<'a>> {
        uses.iter().rfind(|u| self.step.has(u.patch, universe))
    }

    fn targets(&self, uses: &[Use<'a>]) -> Targets {
        let target = |universe| self.winner(uses, universe).map(|u| u.func.target);
        Targets {
            old: target(Universe::Old),
            new: target(Universe::New),
        }
    }

    /// Returns the sites of the functions that `universe` redirects.
    pub(crate) fn sites(&self, universe: Universe) -> impl Iterator<Item = Site> + use<'_, 'a> {
        self.functions()
            .filter_map(move |uses| Some(self.winner(uses, universe)?.original.site))
    }

    /// Returns the sites of the functions whose redirects differ between the universes.
    pub(crate) fn changing(&self) -> impl Iterator<Item = Site> + use<'_, 'a> {
        self.functions().filter_map(|uses| {
            let targets = self.targets(uses);
            (!targets.are_alike()).then_some(uses.first()?.original.site)
        })
    }

    /// Returns where the calls of each function go in the new universe. `None` is the original
    /// code.
    pub(crate) fn steady(&self) -> impl Iterator<Item = (Site, Option<CallTarget>)> + use<'_, 'a> {
        self.functions()
            .filter_map(|uses| Some((uses.first()?.original.site, self.targets(uses).new)))
    }

    /// Makes the redirects of both universes.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn redirects(&self) -> Result<Redirects> {
        self.table(|uses| self.targets(uses))
    }

    /// Makes the redirects for the time when every task is in `universe`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn settled(&self, universe: Universe) -> Result<Redirects> {
        self.table(|uses| {
            let only = self.targets(uses).choose(universe);
            Targets {
                old: only,
                new: only,
            }
        })
    }

    fn table(&self, targets: impl Fn(&[Use<'a>]) -> Targets) -> Result<Redirects> {
        let mut entries = KVVec::new();
        for uses in self.functions() {
            if let Some(first) = uses.first() {
                entries.push((first.original.site, targets(uses)), GFP_KERNEL)?;
            }
        }
        Redirects::new(entries.iter().copied())
    }

    /// Returns the affected code: code that must not be on the stack of a task that leaves the
    /// universe `from`.
    ///
    /// There are three kinds of affected code:
    ///
    /// - for each function whose redirects differ, the function that `from` calls;
    /// - for each such function, the bytes from its entry to the end of the fentry call: a task may
    ///   have been stopped there between the handler's decision and the jump;
    /// - the whole text of each patch that is in `from` only: a replacement may call another
    ///   function of its patch, and after a tail call the frame of the replacement is gone.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn affected(&self, from: Universe) -> Result<Ranges> {
        let mut ranges = KVVec::new();
        for uses in self.functions() {
            let targets = self.targets(uses);
            let (Some(first), false) = (uses.first(), targets.are_alike()) else {
                continue;
            };
            let original = first.original;
            ranges.push(entry_of(original), GFP_KERNEL)?;
            match self.winner(uses, from) {
                Some(winner) => ranges.push(winner.func.replacement, GFP_KERNEL)?,
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
