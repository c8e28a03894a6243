// SPDX-License-Identifier: GPL-2.0

//! Where each hooked function leads, as the ftrace handler looks it up.
//!
//! A hash table, made once and never changed but for [`Redirects::forget`].

use crate::{
    table::{self, Table},
    universe::Universe,
};
use core::num::NonZeroUsize;
use kernel::prelude::*;
use kernel_ext::atomic::{AtomicUsize, Ordering};

/// Where the calls of a function go. 0 stands for the function's original code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Targets {
    /// For tasks in [`Universe::Old`].
    pub(crate) old: usize,
    /// For tasks in [`Universe::New`].
    pub(crate) new: usize,
}

/// Where one function leads.
#[derive(Default)]
pub(crate) struct Slot {
    /// The fentry site.
    site: usize,
    old: AtomicUsize,
    new: AtomicUsize,
}

impl table::Slot for Slot {
    #[inline(always)]
    fn key(&self) -> usize {
        self.site
    }
}

impl Slot {
    #[inline(always)]
    fn targets(&self) -> Targets {
        // ORDERING: Relaxed, both: set before the table was published, and published with Release;
        // `forget()` may change one before the other, and either pair is then right.
        Targets {
            old: self.old.load(Ordering::Relaxed),
            new: self.new.load(Ordering::Relaxed),
        }
    }
}

/// Every call of every hooked function looks here, so the table is sparse.
pub(crate) const SPREAD: usize = 4;

/// The table. See the module's documentation.
pub(crate) struct Redirects(Table<Slot>);

impl Redirects {
    /// A table of `entries`, whose sites differ and are not 0. `ENOMEM`.
    pub(crate) fn new(entries: impl ExactSizeIterator<Item = (usize, Targets)>) -> Result<Self> {
        let mut table = Table::new(entries.len(), SPREAD)?;
        for (site, targets) in entries {
            let slot = Slot {
                site,
                old: AtomicUsize::new(targets.old),
                new: AtomicUsize::new(targets.new),
            };
            table.insert(slot).ok_or(EINVAL)?;
        }
        Ok(Self(table))
    }

    /// Where calls of the function at `site` go; `None` if it is not in the table.
    ///
    /// Context: any; no lock, no panic.
    pub(crate) fn find(&self, site: usize) -> Option<Targets> {
        self.0.find(site).map(Slot::targets)
    }

    /// As [`find`](Self::find), where one look is enough for it; else `None`.
    #[inline(always)]
    pub(crate) fn find_at_once(&self, site: usize) -> Option<Targets> {
        self.0.find_at_once(site).map(Slot::targets)
    }

    /// Leads `site` back to the original code, where no new table could be had. Cannot fail.
    pub(crate) fn forget(&self, site: usize) {
        if let Some(slot) = self.0.find(site) {
            // ORDERING: Relaxed, partner of the loads in `targets()`; the caller waits for readers.
            slot.old.store(0, Ordering::Relaxed);
            slot.new.store(0, Ordering::Relaxed);
        }
    }
}

impl Targets {
    /// The one for `universe`, or `None` for the original code.
    #[inline(always)]
    pub(crate) fn choose(self, universe: Universe) -> Option<NonZeroUsize> {
        NonZeroUsize::new(match universe {
            Universe::Old => self.old,
            Universe::New => self.new,
        })
    }
}
