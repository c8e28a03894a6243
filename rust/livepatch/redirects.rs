// SPDX-License-Identifier: GPL-2.0

//! Where each hooked function leads, as the ftrace handler looks it up.
//!
//! A hash table, made once and never changed but for [`Redirects::forget`].
//! The handler pays for one multiplication and, mostly, one comparison, whatever the table's size.

use crate::{probing, universe::Universe};
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

#[derive(Default)]
struct Slot {
    /// The fentry site; 0: free.
    site: usize,
    old: AtomicUsize,
    new: AtomicUsize,
}

/// The table. See the module's documentation.
pub(crate) struct Redirects {
    /// A power of two of slots, at most half of them used.
    slots: KVVec<Slot>,
}

impl Redirects {
    /// A table of `entries`, whose sites differ and are not 0. `ENOMEM`.
    pub(crate) fn new(entries: impl ExactSizeIterator<Item = (usize, Targets)>) -> Result<Self> {
        let len = probing::slots_for(entries.len()).ok_or(ENOMEM)?;
        let mut slots = KVVec::with_capacity(len, GFP_KERNEL)?;
        for _ in 0..len {
            slots.push(Slot::default(), GFP_KERNEL)?;
        }
        let mut table = Self { slots };
        for (site, targets) in entries {
            let mut at = probing::first(site, len);
            while table.slots.get(at).is_some_and(|slot| slot.site != 0) {
                at = probing::next(at, len);
            }
            *table.slots.get_mut(at).ok_or(EINVAL)? = Slot {
                site,
                old: AtomicUsize::new(targets.old),
                new: AtomicUsize::new(targets.new),
            };
        }
        Ok(table)
    }

    #[inline(always)]
    fn slot(&self, site: usize) -> Option<&Slot> {
        let len = self.slots.len();
        let mut at = probing::first(site, len);
        // Half of the slots are free: this ends.
        loop {
            let slot = self.slots.get(at)?;
            if slot.site == site {
                return Some(slot);
            }
            if slot.site == 0 {
                return None;
            }
            at = probing::next(at, len);
        }
    }

    /// Where calls of the function at `site` go; `None` if it is not in the table.
    ///
    /// Context: any; no lock, no panic.
    #[inline(always)]
    pub(crate) fn find(&self, site: usize) -> Option<Targets> {
        let slot = self.slot(site)?;
        // ORDERING: Relaxed, both: set before the table was published, and published with Release;
        // `forget()` may change one before the other, and either pair is then right.
        Some(Targets {
            old: slot.old.load(Ordering::Relaxed),
            new: slot.new.load(Ordering::Relaxed),
        })
    }

    /// Leads `site` back to the original code, where no new table could be had. Cannot fail.
    pub(crate) fn forget(&self, site: usize) {
        if let Some(slot) = self.slot(site) {
            // ORDERING: Relaxed, partner of the loads in `find()`; the caller waits for readers.
            slot.old.store(0, Ordering::Relaxed);
            slot.new.store(0, Ordering::Relaxed);
        }
    }
}

impl Targets {
    /// The one for `universe`, or `None` for the original code.
    #[inline(always)]
    pub(crate) fn choose(self, universe: Universe) -> Option<usize> {
        let target = match universe {
            Universe::Old => self.old,
            Universe::New => self.new,
        };
        (target != 0).then_some(target)
    }
}
