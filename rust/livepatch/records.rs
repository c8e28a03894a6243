// SPDX-License-Identifier: GPL-2.0

//! The record table: which universe each task is in while a transition runs.
//!
//! Filled once, then shared: keys do not change any more, states are atomic. A task without a
//! record became visible after the table was sealed; it has never run before, and starts in the
//! target universe on an empty stack.

use crate::{probing, universe::Universe};
use kernel::prelude::*;
use kernel_ext::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

/// Why a task could not be switched when it was last looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocker {
    /// Nobody has looked yet.
    Unknown,
    /// It was on a CPU.
    Running,
    /// The unwinder could not vouch for its stack.
    Unreliable,
    /// It will return into this address.
    Inside(usize),
}

/// What became of an attempt to switch a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switched {
    /// It was in the target universe already.
    Before,
    /// This attempt did it.
    Now,
    /// This attempt did it, and it was the last: the transition can be completed.
    Last,
}

/// One task's record.
pub(crate) struct Record<T> {
    key: usize,
    universe: AtomicU8,
    /// A [`Blocker`]: 0 unknown, 1 running, 2 unreliable, else the address.
    blocker: AtomicUsize,
    task: T,
}

impl<T> Record<T> {
    /// The task.
    pub(crate) fn task(&self) -> &T {
        &self.task
    }

    /// Its universe now.
    #[inline(always)]
    pub(crate) fn universe(&self) -> Universe {
        // ORDERING: Relaxed. Three write it: the task itself, an interrupt on its CPU, and another
        // CPU that holds the task's scheduler locks while it does not run. To the task each is in
        // program order; the switch back in takes the lock that the writer released.
        Universe::from_u8(self.universe.load(Ordering::Relaxed))
    }

    /// Notes why the task stays where it is.
    pub(crate) fn set_blocker(&self, blocker: Blocker) {
        let raw = match blocker {
            Blocker::Unknown => 0,
            Blocker::Running => 1,
            Blocker::Unreliable => 2,
            Blocker::Inside(addr) => addr,
        };
        // ORDERING: Relaxed, partner `blocker()`: for messages alone.
        self.blocker.store(raw, Ordering::Relaxed);
    }

    /// Why the task stays where it is.
    pub(crate) fn blocker(&self) -> Blocker {
        // ORDERING: Relaxed, partner `set_blocker()`.
        match self.blocker.load(Ordering::Relaxed) {
            0 => Blocker::Unknown,
            1 => Blocker::Running,
            2 => Blocker::Unreliable,
            addr => Blocker::Inside(addr),
        }
    }
}

/// The table is full: make a larger one.
#[derive(Debug)]
pub(crate) struct Full;

/// The table.
pub(crate) struct Records<T> {
    /// A hash table of indices into `records`, plus one; 0: free.
    index: KVVec<u32>,
    records: KVVec<Record<T>>,
    target: Universe,
    /// Records that are not in the target universe.
    pending: AtomicUsize,
    frozen: AtomicBool,
}

impl<T> Records<T> {
    /// An empty table for up to `capacity` tasks on their way to `target`. May sleep. `ENOMEM`.
    pub(crate) fn with_capacity(capacity: usize, target: Universe) -> Result<Self> {
        let capacity = capacity.max(1);
        let len = probing::slots_for(capacity).ok_or(ENOMEM)?;
        Ok(Self {
            index: KVVec::from_elem(0, len, GFP_KERNEL)?,
            records: KVVec::with_capacity(capacity, GFP_KERNEL)?,
            target,
            pending: AtomicUsize::new(0),
            frozen: AtomicBool::new(false),
        })
    }

    /// Adds the task `key`, which is not in the table, in `universe`. Allocates nothing.
    pub(crate) fn insert(&mut self, key: usize, task: T, universe: Universe) -> Result<(), Full> {
        let record = Record {
            key,
            universe: AtomicU8::new(universe as u8),
            blocker: AtomicUsize::new(0),
            task,
        };
        let len = self.index.len();
        let mut at = probing::first(key, len);
        while *self.index.get(at).ok_or(Full)? != 0 {
            at = probing::next(at, len);
        }
        self.records
            .push_within_capacity(record)
            .map_err(|_| Full)?;
        let number = u32::try_from(self.records.len()).map_err(|_| Full)?;
        *self.index.get_mut(at).ok_or(Full)? = number;
        if universe != self.target {
            let pending = self.pending.get_mut();
            *pending = pending.wrapping_add(1);
        }
        Ok(())
    }

    /// The record of the task `key`. Context: any; no lock, no panic.
    #[inline(always)]
    pub(crate) fn find(&self, key: usize) -> Option<&Record<T>> {
        let len = self.index.len();
        let mut at = probing::first(key, len);
        // Half of the slots are free at least, with a 0, which is the number of no record.
        loop {
            let number = *self.index.get(at)? as usize;
            let record = self.records.get(number.wrapping_sub(1))?;
            if record.key == key {
                return Some(record);
            }
            at = probing::next(at, len);
        }
    }

    /// The universe of the task `key`: its record's, or the target for one that came later.
    #[inline(always)]
    pub(crate) fn universe_of(&self, key: usize) -> Universe {
        self.find(key).map_or(self.target, Record::universe)
    }

    /// Where all are to go.
    pub(crate) fn target(&self) -> Universe {
        self.target
    }

    /// Every record.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Record<T>> {
        self.records.iter()
    }

    /// The records that are not in the target universe.
    pub(crate) fn iter_pending(&self) -> impl Iterator<Item = &Record<T>> {
        self.iter()
            .filter(|record| record.universe() != self.target)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// How many are not in the target universe.
    pub(crate) fn pending(&self) -> usize {
        // ORDERING: Acquire, pairs with the Release in `switch()`: who sees 0 sees all that every
        // task did before it was switched.
        self.pending.load(Ordering::Acquire)
    }

    /// Switches `record`, one of this table, to the target universe.
    ///
    /// The caller has proof that the task's stack is clear, or was told to do without.
    ///
    /// Context: any; no lock, no panic.
    pub(crate) fn switch(&self, record: &Record<T>) -> Switched {
        let (from, to) = (self.target.other() as u8, self.target as u8);
        // ORDERING: Relaxed, partners `universe()` and this same line on other CPUs, of which one
        // wins. The scheduler's locks put the switch behind the walk that allowed it and before
        // what the task calls next, or the task does it itself; before a reversal reads it, the
        // grace period after `freeze()`.
        let won = record
            .universe
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok();
        if !won {
            return Switched::Before;
        }
        // ORDERING: Release, pairs with Acquire in `pending()`. The last to switch only asks for
        // the worker, which looks there.
        match self.pending.fetch_sub(1, Ordering::Release) {
            1 => Switched::Last,
            _ => Switched::Now,
        }
    }

    /// Stops switching, for a reversal; it has stopped when every read side that is now running has
    /// ended.
    pub(crate) fn freeze(&self) {
        // ORDERING: Relaxed, partner `is_frozen()`; the grace period orders.
        self.frozen.store(true, Ordering::Relaxed);
    }

    /// Whether switching was stopped.
    #[inline(always)]
    pub(crate) fn is_frozen(&self) -> bool {
        // ORDERING: Relaxed, partner `freeze()`.
        self.frozen.load(Ordering::Relaxed)
    }

    /// Lets switching go on, where a reversal failed.
    pub(crate) fn thaw(&self) {
        // ORDERING: Relaxed, partner `is_frozen()`.
        self.frozen.store(false, Ordering::Relaxed);
    }
}
