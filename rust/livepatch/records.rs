// SPDX-License-Identifier: GPL-2.0

//! The record table: the universe of each task while a transition runs.
//!
//! The table is filled once and then shared. Its keys do not change any more, and the universes and
//! blockers are atomic.
//!
//! There are two kinds of tasks without a record:
//!
//! - A new task became visible after the table was filled. It had never run before, so it starts in
//!   the target universe on an empty stack.
//! - An exiting task had left the task list before the table was filled, or was forked during the
//!   transition and is past `exit_notify()`. It follows its CPU: it is in the universe of the CPU's
//!   idle record until it leaves the CPU for good.

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

/// Why a task was not switched at the last attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Blocker {
    /// There was no attempt yet.
    Unknown,
    /// The task was on a CPU.
    Running,
    /// The unwinder could not vouch for the stack trace.
    Unreliable,
    /// This address on the task's stack is in affected code.
    Inside(usize),
}

/// The result of an attempt to switch a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switched {
    /// The record was in the target universe already.
    Before,
    /// This attempt switched the record.
    Now,
    /// This attempt switched the last record: the transition can be completed.
    Last,
}

/// The part of a record that the handler reads. It is small, so that few cache lines are touched.
#[derive(Default)]
struct Slot {
    /// The task's [`TaskId`](kernel_ext::task::TaskId) as a number.
    key: usize,
    universe: AtomicU8,
    /// The index of the [`RecordDetails`].
    nr: u32,
}

/// The number of slots for each task. This is the minimum that [`Table`] allows, to save memory.
const SPREAD: usize = 2;

/// The part of a record that the handler does not read.
struct RecordDetails<T> {
    /// A [`Blocker`]: 0 is unknown, 1 running, 2 unreliable, and any other value the address.
    blocker: AtomicUsize,
    /// The index of the [`Slot`].
    slot: usize,
    task: T,
}

/// The record of one task.
pub(crate) struct Record<'a, T> {
    slot: &'a Slot,
    details: &'a RecordDetails<T>,
}

impl<'a, T> Record<'a, T> {
    /// Returns the task.
    pub(crate) fn task(&self) -> &'a T {
        &self.details.task
    }

    /// Returns the task's present universe.
    #[inline(always)]
    pub(crate) fn universe(&self) -> Universe {
        self.slot.universe()
    }

    /// Notes why the task is not switched.
    pub(crate) fn set_blocker(&self, blocker: Blocker) {
        let raw = match blocker {
            Blocker::Unknown => 0,
            Blocker::Running => 1,
            Blocker::Unreliable => 2,
            Blocker::Inside(addr) => addr,
        };
        // ORDERING: Relaxed, partner `blocker()`: the value is only shown to users.
        self.details.blocker.store(raw, Ordering::Relaxed);
    }

    /// Returns why the task is not switched.
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
        // ORDERING: Relaxed. There are three writers: the task itself, an interrupt on its CPU, and
        // another CPU that holds the task's scheduler locks while the task does not run. The task
        // sees the stores of the first two in program order. The third has released a lock that the
        // switch back to the task acquires.
        Universe::from_u8(self.universe.load(Ordering::Relaxed))
    }
}

/// The table is full. The caller makes a larger one.
#[derive(Debug)]
pub(crate) struct Full;

/// The record table. See the module's documentation.
pub(crate) struct Records<T> {
    slots: Table<Slot>,
    details: KVVec<RecordDetails<T>>,
    /// The indexes of the idle tasks' slots, by CPU. The idle records are the first in `details`.
    idle: KVVec<Option<usize>>,
    idle_tasks: u32,
    target: Universe,
    /// The number of records that are not in the target universe.
    pending: AtomicUsize,
    frozen: AtomicBool,
}

impl<T> Records<T> {
    /// Creates an empty table for up to `capacity` tasks, which are switched to `target`.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
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

    /// Adds the task `key`, which is in `universe`. `key` is not 0 and not in the table yet.
    /// Allocates nothing.
    ///
    /// # Errors
    ///
    /// [`Full`] if the table has no room.
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

    /// Adds the idle task of `cpu` like [`insert`](Self::insert). The idle tasks are added before
    /// all other tasks.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
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

    /// Whether `record` belongs to an idle task, and so stands for a CPU.
    pub(crate) fn is_idle(&self, record: &Record<'_, T>) -> bool {
        record.slot.nr < self.idle_tasks
    }

    /// Returns the record of the task `key`.
    ///
    /// # Context
    ///
    /// Any. Takes no lock, and does not panic.
    pub(crate) fn find(&self, key: usize) -> Option<Record<'_, T>> {
        let slot = self.slots.find(key)?;
        let details = self.details.get(slot.nr as usize)?;
        Some(Record { slot, details })
    }

    /// Returns the universe of the task `key`. Without a record, that is the target universe.
    pub(crate) fn universe_of(&self, key: usize) -> Universe {
        self.recorded(key).unwrap_or(self.target)
    }

    /// Returns the universe of the task `key` if it has a record.
    ///
    /// # Context
    ///
    /// Any. Takes no lock, and does not panic.
    pub(crate) fn recorded(&self, key: usize) -> Option<Universe> {
        self.slots.find(key).map(Slot::universe)
    }

    /// Returns the universe of `cpu`, which is that of its idle record. Without a record, that is
    /// the target universe.
    ///
    /// # Context
    ///
    /// Any. Takes no lock, and does not panic.
    pub(crate) fn universe_on(&self, cpu: u32) -> Universe {
        let at = self.idle.get(cpu as usize).copied().flatten();
        at.and_then(|at| self.slots.get(at))
            .map_or(self.target, Slot::universe)
    }

    /// Like [`recorded`](Self::recorded), but returns `None` if the record is not in the first slot
    /// that is probed.
    #[inline(always)]
    pub(crate) fn universe_at_once(&self, key: usize) -> Option<Universe> {
        self.slots.find_at_once(key).map(Slot::universe)
    }

    /// Returns the universe to which the tasks are switched.
    pub(crate) fn target(&self) -> Universe {
        self.target
    }

    /// Returns all records.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Record<'_, T>> {
        self.details.iter().filter_map(|details| {
            let slot = self.slots.get(details.slot)?;
            Some(Record { slot, details })
        })
    }

    /// Returns the records that are not in the target universe.
    pub(crate) fn iter_pending(&self) -> impl Iterator<Item = Record<'_, T>> {
        self.iter()
            .filter(|record| record.universe() != self.target)
    }

    /// Returns the number of records.
    pub(crate) fn len(&self) -> usize {
        self.details.len()
    }

    /// Returns the number of records that are not in the target universe.
    pub(crate) fn pending(&self) -> usize {
        // ORDERING: Acquire, pairs with the Release in `switch()`: a reader of 0 sees everything
        // that each task did before it was switched.
        self.pending.load(Ordering::Acquire)
    }

    /// Switches `record`, which is in this table, to the target universe.
    ///
    /// The caller has proof that the task's stack has no affected code, or forces the transition.
    ///
    /// # Context
    ///
    /// Any. Takes no lock, and does not panic.
    pub(crate) fn switch(&self, record: Record<'_, T>) -> Switched {
        let (from, to) = (self.target.other() as u8, self.target as u8);
        // ORDERING: Relaxed. The partners are `universe()`, and this exchange on other CPUs: one
        // CPU wins. The switch is after the stack walk that allowed it and before the task's next
        // calls: the scheduler's locks order that, or the task itself switches its record. A
        // reversal reads the universe after the switch: the grace period after `freeze()` orders
        // that.
        let won = record
            .slot
            .universe
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok();
        if !won {
            return Switched::Before;
        }
        // ORDERING: Release, pairs with Acquire in `pending()`. The CPU that switches the last
        // record only kicks the worker, and the worker calls `pending()`.
        match self.pending.fetch_sub(1, Ordering::Release) {
            1 => Switched::Last,
            _ => Switched::Now,
        }
    }

    /// Stops switching, for a reversal. When all read-side sections that run now have ended, no
    /// record is switched any more.
    pub(crate) fn freeze(&self) {
        // ORDERING: Relaxed, partner `is_frozen()`. The caller's grace period orders this.
        self.frozen.store(true, Ordering::Relaxed);
    }

    /// Whether switching is stopped.
    #[inline(always)]
    pub(crate) fn is_frozen(&self) -> bool {
        // ORDERING: Relaxed, partner `freeze()`.
        self.frozen.load(Ordering::Relaxed)
    }

    /// Resumes switching, if the reversal failed.
    pub(crate) fn thaw(&self) {
        // ORDERING: Relaxed, partner `is_frozen()`.
        self.frozen.store(false, Ordering::Relaxed);
    }
}
