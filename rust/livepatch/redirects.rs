// SPDX-License-Identifier: GPL-2.0

//! Where each hooked function leads, as the ftrace handler looks it up.
//!
//! A hash table, made once and never changed but for [`Redirects::restore_original`].

use crate::{
    table::{
        self,
        Table, //
    },
    universe::Universe, //
};
use kernel::prelude::*;
use kernel_ext::{
    atomic::Ordering,
    ftrace::{
        AtomicCallTarget,
        CallTarget,
        Site, //
    }, //
};

/// Where the calls of a function go. `None` stands for the function's original code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Targets {
    /// For tasks in [`Universe::Old`].
    pub(crate) old: Option<CallTarget>,
    /// For tasks in [`Universe::New`].
    pub(crate) new: Option<CallTarget>,
}

/// Where one function leads.
#[derive(Default)]
pub(crate) struct Slot {
    /// The fentry site's address; 0: the slot is free.
    site: usize,
    old: AtomicCallTarget,
    new: AtomicCallTarget,
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
        // `restore_original()` may change one before the other, and either pair is then right.
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
    /// A table of `entries`, whose sites differ. `ENOMEM`.
    pub(crate) fn new(entries: impl ExactSizeIterator<Item = (Site, Targets)>) -> Result<Self> {
        let mut table = Table::new(entries.len(), SPREAD)?;
        for (site, targets) in entries {
            let slot = Slot {
                site: site.address(),
                old: AtomicCallTarget::new(targets.old),
                new: AtomicCallTarget::new(targets.new),
            };
            table.insert(slot).ok_or(EINVAL)?;
        }
        Ok(Self(table))
    }

    /// Where calls of the function at `site` go; `None` if it is not in the table.
    ///
    /// Context: any; no lock, no panic.
    pub(crate) fn find(&self, site: Site) -> Option<Targets> {
        self.0.find(site.address()).map(Slot::targets)
    }

    /// As [`find`](Self::find), where one look is enough for it; else `None`.
    #[inline(always)]
    pub(crate) fn find_at_once(&self, site: Site) -> Option<Targets> {
        self.0.find_at_once(site.address()).map(Slot::targets)
    }

    /// Leads `site` back to the original code, where no new table could be had. Cannot fail.
    pub(crate) fn restore_original(&self, site: Site) {
        if let Some(slot) = self.0.find(site.address()) {
            // ORDERING: Relaxed, partner of the loads in `targets()`; the caller waits for readers.
            slot.old.clear(Ordering::Relaxed);
            slot.new.clear(Ordering::Relaxed);
        }
    }
}

impl Targets {
    /// The one for `universe`, or `None` for the original code.
    #[inline(always)]
    pub(crate) fn choose(self, universe: Universe) -> Option<CallTarget> {
        match universe {
            Universe::Old => self.old,
            Universe::New => self.new,
        }
    }

    /// Whether both universes call the same. For the handler: a comparison of two registers, which
    /// that of two options is not.
    #[inline(always)]
    pub(crate) fn are_alike(self) -> bool {
        CallTarget::address_or_zero(self.old) == CallTarget::address_or_zero(self.new)
    }
}
