// SPDX-License-Identifier: GPL-2.0

//! The redirects: the table in which the ftrace handler looks up the destination of a call.
//!
//! This is a hash table that is made once. Only [`Redirects::restore_original`] changes it.

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

/// The destinations of a function's calls. `None` is the function's original code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Targets {
    /// For tasks in [`Universe::Old`].
    pub(crate) old: Option<CallTarget>,
    /// For tasks in [`Universe::New`].
    pub(crate) new: Option<CallTarget>,
}

/// The redirects of one function.
#[derive(Default)]
pub(crate) struct Slot {
    /// The address of the fentry site. 0 if the slot is free.
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
        // ORDERING: Relaxed, both loads. The targets are set before the table is published with
        // Release. After that only `restore_original()` changes them, with two stores. A reader
        // between the stores finds one target cleared and the other not. That pair is correct, too:
        // a call uses only one of the two. The call may also use a target that is being cleared, as
        // long as the caller of `restore_original()` waits for the readers.
        Targets {
            old: self.old.load(Ordering::Relaxed),
            new: self.new.load(Ordering::Relaxed),
        }
    }
}

/// The number of slots for each function. The handler searches this table at every call of a hooked
/// function, so the table is sparse.
pub(crate) const SPREAD: usize = 4;

/// The redirects. See the module's documentation.
pub(crate) struct Redirects(Table<Slot>);

impl Redirects {
    /// Makes a table of `entries`, whose sites differ.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
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

    /// Returns the destinations of the function at `site`, or `None` if it is not in the table.
    ///
    /// # Context
    ///
    /// Any. Takes no lock, and does not panic.
    pub(crate) fn find(&self, site: Site) -> Option<Targets> {
        self.0.find(site.address()).map(Slot::targets)
    }

    /// Like [`find`](Self::find), but returns `None` if the site is not in the first slot that is
    /// probed.
    #[inline(always)]
    pub(crate) fn find_at_once(&self, site: Site) -> Option<Targets> {
        self.0.find_at_once(site.address()).map(Slot::targets)
    }

    /// Redirects the function at `site` to its original code, in place: there may be no memory for
    /// a new table. Cannot fail.
    pub(crate) fn restore_original(&self, site: Site) {
        if let Some(slot) = self.0.find(site.address()) {
            // ORDERING: Relaxed, partner of the loads in `targets()`. The caller waits for the
            // readers.
            slot.old.clear(Ordering::Relaxed);
            slot.new.clear(Ordering::Relaxed);
        }
    }
}

impl Targets {
    /// Returns the target for `universe`, or `None` for the original code.
    #[inline(always)]
    pub(crate) fn choose(self, universe: Universe) -> Option<CallTarget> {
        match universe {
            Universe::Old => self.old,
            Universe::New => self.new,
        }
    }

    /// Whether both universes call the same code. This compares addresses instead of options: in
    /// the handler it must be one comparison of two registers.
    #[inline(always)]
    pub(crate) fn are_alike(self) -> bool {
        CallTarget::address_or_zero(self.old) == CallTarget::address_or_zero(self.new)
    }
}
