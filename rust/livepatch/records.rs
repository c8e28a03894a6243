// SPDX-License-Identifier: GPL-2.0

//! The record table: which universe each task is in while a transition runs.
//!
//! Filled once, then shared: keys do not change any more, states are atomic. A task without a
//! record became visible after the table was sealed: it has never run before, and starts in the
//! target universe on an empty stack. Or it had left the task list before that, and is about to
//! leave its CPU for good: such a one is where its CPU is, for which the idle task's record stands, as
//! for a task that was born in the transition and is past `exit_notify()`.

use crate::{
    table::{
        self,
        Table, //
    },
    universe::Universe, //
};
use kernel::prelude::*;
use kernel_ext::atomic::{
    AtomicBool,
    AtomicU8,
    AtomicUsize,
    Ordering, //
};

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

/// What the handler looks for: small, so that few lines of the cache are touched.
#[derive(Default)]
struct Slot {
    /// The task.
    key: usize,
    universe: AtomicU8,
    /// The place of the details in the list of records.
    nr: u32,
}

/// As few slots as do, for the memory that each task takes.
const SPREAD: usize = 2;

/// What the handler does not need.
struct RecordDetails<T> {
    /// A [`Blocker`]: 0 unknown, 1 running, 2 unreliable, else the address.
    blocker: AtomicUsize,
    slot: usize,
    task: T,
}

/// One task's record.
pub(crate) struct Record<'a, T> {
    slot: &'a Slot,
    details: &'a RecordDetails<T>,
}

impl<'a, T> Record<'a, T> {
    /// The task.
    pub(crate) fn task(&self) -> &'a T {
        &self.details.task
    }

    /// Its universe now.
    #[inline(always)]
    pub(crate) fn universe(&self) -> Universe {
        self.slot.universe()
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
        self.details.blocker.store(raw, Ordering::Relaxed);
    }

    /// Why the task stays where it is.
    pub(crate) fn blocker(&self) -> Blocker {
        // ORDERING: Relaxed, partner `set_blocker()`.
        match self.details.blocker.load(Ordering::Relaxed) {
            0 => Blocker::Unknown,
            1 => Blocker::Running,
            2 => Blocker::Unreliable,
            addr => Blocker::Inside(addr),
        }
    }
}

impl table::Slot for Slot {
    #[inline(always)]
    fn key(&self) -> usize {
        self.key
    }
}

impl Slot {
    #[inline(always)]
    fn universe(&self) -> Universe {
        // ORDERING: Relaxed. Three write it: the task itself, an interrupt on its CPU, and another
        // CPU that holds the task's scheduler locks while it does not run. To the task each is in
        // program order; the switch back in takes the lock that the writer released.
        Universe::from_u8(self.universe.load(Ordering::Relaxed))
    }
}

/// The table is full: make a larger one.
#[derive(Debug)]
pub(crate) struct Full;

/// The table.
pub(crate) struct Records<T> {
    slots: Table<Slot>,
    details: KVVec<RecordDetails<T>>,
    /// Where the idle tasks' slots are, by CPU. Their records are the first.
    idle: KVVec<Option<usize>>,
    idle_tasks: u32,
    target: Universe,
    /// Records that are not in the target universe.
    pending: AtomicUsize,
    frozen: AtomicBool,
}

impl<T> Records<T> {
    /// An empty table for up to `capacity` tasks on their way to `target`. May sleep. `ENOMEM`.
    pub(crate) fn with_capacity(capacity: usize, target: Universe) -> Result<Self> {
        Ok(Self {
            slots: Table::new(capacity, SPREAD)?,
            details: KVVec::with_capacity(capacity.max(1), GFP_KERNEL)?,
            idle: KVVec::new(),
            idle_tasks: 0,
            target,
            pending: AtomicUsize::new(0),
            frozen: AtomicBool::new(false),
        })
    }

    /// Adds the task `key`, which is not 0 and not in the table, in `universe`. Allocates nothing.
    pub(crate) fn insert(&mut self, key: usize, task: T, universe: Universe) -> Result<(), Full> {
        let nr = u32::try_from(self.details.len()).map_err(|_| Full)?;
        let details = RecordDetails {
            blocker: AtomicUsize::new(0),
            slot: 0,
            task,
        };
        self.details
            .push_within_capacity(details)
            .map_err(|_| Full)?;
        let slot = Slot {
            key,
            universe: AtomicU8::new(universe as u8),
            nr,
        };
        let at = self.slots.insert(slot).ok_or(Full)?;
        self.details.last_mut().ok_or(Full)?.slot = at;
        if universe != self.target {
            let pending = self.pending.get_mut();
            *pending = pending.wrapping_add(1);
        }
        Ok(())
    }

    /// As [`insert`](Self::insert), for the idle task of `cpu`; before all other tasks. May sleep.
    /// `ENOMEM`.
    pub(crate) fn insert_idle(
        &mut self,
        cpu: u32,
        key: usize,
        task: T,
        universe: Universe,
    ) -> Result {
        let cpu = cpu as usize;
        while self.idle.len() <= cpu {
            self.idle.push(None, GFP_KERNEL)?;
        }
        self.insert(key, task, universe).map_err(|Full| ENOMEM)?;
        let slot = self.details.last().map(|details| details.slot);
        if let Some(place) = self.idle.get_mut(cpu) {
            *place = slot;
        }
        self.idle_tasks = self.idle_tasks.wrapping_add(1);
        Ok(())
    }

    /// Whether `record` is that of an idle task, and stands for its CPU.
    pub(crate) fn is_idle(&self, record: &Record<'_, T>) -> bool {
        record.slot.nr < self.idle_tasks
    }

    /// The record of the task `key`. Context: any; no lock, no panic.
    pub(crate) fn find(&self, key: usize) -> Option<Record<'_, T>> {
        let slot = self.slots.find(key)?;
        let details = self.details.get(slot.nr as usize)?;
        Some(Record { slot, details })
    }

    /// The universe of the task `key`: its record's, or the target for one that came later.
    pub(crate) fn universe_of(&self, key: usize) -> Universe {
        self.recorded(key).unwrap_or(self.target)
    }

    /// The universe of the task `key`, if it has a record. Context: any; no lock, no panic.
    pub(crate) fn recorded(&self, key: usize) -> Option<Universe> {
        self.slots.find(key).map(Slot::universe)
    }

    /// The universe of `cpu`: its idle task's, or the target. Context: any; no lock, no panic.
    pub(crate) fn universe_on(&self, cpu: u32) -> Universe {
        let at = self.idle.get(cpu as usize).copied().flatten();
        at.and_then(|at| self.slots.get(at))
            .map_or(self.target, Slot::universe)
    }

    /// As [`recorded`](Self::recorded), where one look is enough for it; else `None`.
    #[inline(always)]
    pub(crate) fn universe_at_once(&self, key: usize) -> Option<Universe> {
        self.slots.find_at_once(key).map(Slot::universe)
    }

    /// Where all are to go.
    pub(crate) fn target(&self) -> Universe {
        self.target
    }

    /// Every record.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Record<'_, T>> {
        self.details.iter().filter_map(|details| {
            let slot = self.slots.get(details.slot)?;
            Some(Record { slot, details })
        })
    }

    /// The records that are not in the target universe.
    pub(crate) fn iter_pending(&self) -> impl Iterator<Item = Record<'_, T>> {
        self.iter()
            .filter(|record| record.universe() != self.target)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.details.len()
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
    pub(crate) fn switch(&self, record: Record<'_, T>) -> Switched {
        let (from, to) = (self.target.other() as u8, self.target as u8);
        // ORDERING: Relaxed, partners `universe()` and this same line on other CPUs, of which one
        // wins. The scheduler's locks put the switch behind the walk that allowed it and before
        // what the task calls next, or the task does it itself; before a reversal reads it, the
        // grace period after `freeze()`.
        let won = record
            .slot
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
