// SPDX-License-Identifier: GPL-2.0

//! The record table: the universe of each task while a transition runs.
//!
//! The table is filled once and then shared. After that, only children of tasks that are not
//! switched yet are added, and the universes and blockers change.
//!
//! There are two kinds of tasks without a record:
//!
//! - A new task became visible after the table was filled. It had never run before. If its parent
//!   was in the target universe, the new task starts there, too, on an empty stack. (If not,
//!   [`Records::inherit`] makes a record. If there is no room for a record, the new task starts in
//!   the target universe.)
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
use kernel::{
    prelude::*,
    task::Task, //
};
use kernel_ext::{
    atomic::{
        AtomicBool,
        AtomicU32,
        AtomicUsize,
        Ordering, //
    },
    task::{
        NewTaskLock,
        TaskId, //
    },
    task_slot::TaskSlot, //
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
    /// The task is in affected code: at this address, or in a call that is there.
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
    NowLast,
}

/// The result of [`Records::inherit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inherited {
    /// The child is in its parent's universe, or was switched in the meantime.
    Done,
    /// As `Done`, and the child's record was the last that had to be switched.
    DoneLast,
    /// As `Done`, and little room is left: the table should be replaced by a larger one.
    Crowded,
    /// There is no room for a record: the child starts in the target universe.
    NoRoom,
}

/// The bit of a [`TaskSlot`] that is the task's universe.
const UNIVERSE: usize = 1;
/// The bit of a [`TaskSlot`] that says that the task is an idle task.
const IDLE: usize = 2;

/// The slot that the handler reads is one word, so few cache lines are touched.
impl table::Slot for TaskSlot {
    #[inline(always)]
    fn key(&self) -> usize {
        self.word().key()
    }
}

fn bits(universe: Universe, idle: bool) -> usize {
    universe as usize | if idle { IDLE } else { 0 }
}

#[inline(always)]
fn universe(bits: usize) -> Universe {
    // The bits are read and written Relaxed. There are six writers. The task sees the stores of
    // five of them:
    //
    // - The task itself and an interrupt on its CPU store in program order.
    // - Another CPU stores while it holds the task's scheduler locks and the task does not run. The
    //   parent stores before it wakes the task for the first time. Both then release a lock that
    //   the switch to the task acquires.
    // - The CPU that switches the idle tasks of offline CPUs holds the CPU hotplug lock. These idle
    //   tasks run only after that lock is released.
    //
    // The sixth writer is force. A task may miss its store.
    Universe::from_u8((bits & UNIVERSE) as u8)
}

/// The number of slots for each task. More slots need more memory. Fewer slots make it less likely
/// that the handler finds a task in the first slot.
const SPREAD: usize = 3;

/// The record of one task.
pub(crate) struct Record<'a> {
    slot: &'a TaskSlot,
    task: &'a Task,
    /// A [`Blocker`]: 0 is unknown, 1 running, 2 unreliable, and any other value the low half of
    /// the address. [`address_near`] finds the high half.
    blocker: &'a AtomicU32,
}

impl<'a> Record<'a> {
    /// Returns the task, to which the table holds a reference.
    pub(crate) fn task(&self) -> &'a Task {
        self.task
    }

    /// Returns the universe in which the task is.
    #[inline(always)]
    pub(crate) fn universe(&self) -> Universe {
        universe(self.slot.word().bits())
    }

    /// Whether this record belongs to an idle task, and so stands for a CPU.
    pub(crate) fn is_idle(&self) -> bool {
        self.slot.word().bits() & IDLE != 0
    }

    /// Notes why the task is not switched.
    pub(crate) fn set_blocker(&self, blocker: Blocker) {
        let raw = match blocker {
            Blocker::Unknown => 0,
            Blocker::Running => 1,
            Blocker::Unreliable => 2,
            Blocker::Inside(addr) => addr as u32,
        };
        // ORDERING: Relaxed, partner `blocker()`: the value is only shown to users.
        self.blocker.store(raw, Ordering::Relaxed);
    }

    /// Returns why the task is not switched.
    pub(crate) fn blocker(&self) -> Blocker {
        // ORDERING: Relaxed, partner `set_blocker()`.
        match self.blocker.load(Ordering::Relaxed) {
            0 => Blocker::Unknown,
            1 => Blocker::Running,
            2 => Blocker::Unreliable,
            low => Blocker::Inside(address_near(low)),
        }
    }
}

/// Returns the address of code that has these lower 32 bits. Calls between the kernel and its
/// modules reach 2 GiB at most, so all of their code is that near to this file's own data.
fn address_near(low: u32) -> usize {
    static HERE: u8 = 0;
    let here = (&raw const HERE).addr();
    let distance = low.wrapping_sub(here as u32) as i32;
    here.wrapping_add_signed(distance as isize)
}

/// The table is full. The caller makes a larger one.
#[derive(Debug)]
pub(crate) struct Full;

/// The record table. See the module's documentation.
pub(crate) struct Records {
    slots: Table<TaskSlot>,
    /// The [`Blocker`]s of the slots with the same indexes. The handler does not read them.
    blockers: VVec<AtomicU32>,
    /// The indexes of the idle tasks' slots, by CPU.
    idle: KVVec<Option<usize>>,
    capacity: usize,
    /// The number of records that were made by enrolment.
    enrolled: usize,
    /// The number of records that were made by [`inherit`](Self::inherit).
    child_records: AtomicUsize,
    /// The number of records that [`inherit`](Self::inherit) has made or switched.
    child_changes: AtomicUsize,
    /// The number of children for which there was no room.
    left_out: AtomicUsize,
    target: Universe,
    /// The number of records that are not in the target universe.
    pending: AtomicUsize,
    frozen: AtomicBool,
}

impl Records {
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
        let slots = Table::new(capacity, SPREAD)?;
        let mut blockers = VVec::with_capacity(slots.len(), GFP_KERNEL)?;
        for _ in 0..slots.len() {
            blockers.push(AtomicU32::new(0), GFP_KERNEL)?;
        }
        Ok(Self {
            slots,
            blockers,
            idle: KVVec::new(),
            capacity,
            enrolled: 0,
            child_records: AtomicUsize::new(0),
            child_changes: AtomicUsize::new(0),
            left_out: AtomicUsize::new(0),
            target,
            pending: AtomicUsize::new(0),
            frozen: AtomicBool::new(false),
        })
    }

    /// Adds `task`, which is in `universe`, and is not in the table yet. Allocates nothing.
    ///
    /// # Errors
    ///
    /// [`Full`] if the table has no room.
    pub(crate) fn insert(&mut self, task: &Task, universe: Universe) -> Result<(), Full> {
        self.insert_with(task, universe, false).map(|_at| ())
    }

    fn insert_with(&mut self, task: &Task, universe: Universe, idle: bool) -> Result<usize, Full> {
        if self.enrolled >= self.capacity {
            return Err(Full);
        }
        let slot = TaskSlot::new(task, bits(universe, idle));
        let at = self.slots.insert(slot).ok_or(Full)?;
        self.enrolled = self.enrolled.wrapping_add(1);
        if universe != self.target {
            let pending = self.pending.get_mut();
            *pending = pending.wrapping_add(1);
        }
        Ok(at)
    }

    /// Adds the idle task of `cpu` like [`insert`](Self::insert).
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn insert_idle(&mut self, cpu: u32, task: &Task, universe: Universe) -> Result {
        let cpu = cpu as usize;
        while self.idle.len() <= cpu {
            self.idle.push(None, GFP_KERNEL)?;
        }
        let at = self
            .insert_with(task, universe, true)
            .map_err(|Full| ENOMEM)?;
        if let Some(place) = self.idle.get_mut(cpu) {
            *place = Some(at);
        }
        Ok(())
    }

    /// Places `task` in `universe`, whether it has a record or not.
    ///
    /// # Errors
    ///
    /// [`Full`] if there is no room for a record.
    pub(crate) fn place(&mut self, task: &Task, universe: Universe) -> Result<(), Full> {
        let key = TaskId::from(task).as_usize();
        let Some(at) = self.slots.position(key) else {
            return self.insert(task, universe);
        };
        let slot = self.slots.get(at).ok_or(Full)?;
        let word = slot.word();
        let was = self::universe(word.bits());
        if was != universe && slot.set_bits(word, word.bits() ^ UNIVERSE) {
            let pending = self.pending.get_mut();
            *pending = if universe == self.target {
                pending.wrapping_sub(1)
            } else {
                pending.wrapping_add(1)
            };
        }
        Ok(())
    }

    /// Places `child`, which has never run, in `universe`, which is that of its parent. The parent
    /// is the current task, and interrupts are off.
    ///
    /// A child that has no record is in the target universe, so a child needs a record only if its
    /// parent is not switched yet. If enrolment has made a record already, it may be in either
    /// universe, and is changed to the parent's.
    ///
    /// # Context
    ///
    /// Allocates nothing, and does not panic.
    pub(crate) fn inherit(
        &self,
        child: &Task,
        universe: Universe,
        _lock: &NewTaskLock,
    ) -> Inherited {
        let key = TaskId::from(child).as_usize();
        match (self.find(key), universe == self.target) {
            (Some(record), true) => {
                let switched = self.switch(&record);
                if switched != Switched::Before {
                    // ORDERING: Relaxed, partner `child_changes()`: both hold the lock of new
                    // tasks.
                    self.child_changes.fetch_add(1, Ordering::Relaxed);
                }
                match switched {
                    Switched::NowLast => Inherited::DoneLast,
                    Switched::Now | Switched::Before => Inherited::Done,
                }
            }
            (Some(record), false) => {
                self.switch_back(&record);
                Inherited::Done
            }
            (None, true) => Inherited::Done,
            (None, false) => self.record_child(child, key),
        }
    }

    /// Switches `record`, which belongs to a child, to the universe that is not the target.
    ///
    /// The parent is in this universe, as in [`record_child`](Self::record_child).
    fn switch_back(&self, record: &Record<'_>) {
        let word = record.slot.word();
        if universe(word.bits()) != self.target {
            return;
        }
        // ORDERING: Relaxed. Another CPU may see the new bits, switch the child, and decrement the
        // number before this increment. The number does not become 0 even then, because the
        // parent's record is pending, too.
        self.pending.fetch_add(1, Ordering::Relaxed);
        // This succeeds: nothing else changes a record that is in the target universe.
        record.slot.set_bits(word, word.bits() ^ UNIVERSE);
        // ORDERING: Relaxed, partner `child_changes()`: both hold the lock of new tasks.
        self.child_changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Makes a record for `child`, which has the key `key`, in the universe that is not the target.
    ///
    /// The parent is in this universe, too, and is switched later. So the number of pending records
    /// does not become 0 before the record of the child is counted.
    fn record_child(&self, child: &Task, key: usize) -> Inherited {
        let room = self.room();
        // ORDERING: Relaxed. The partner is this line on other CPUs: all hold the lock of new
        // tasks.
        let made = self.child_records.load(Ordering::Relaxed);
        let free = self.slots.free(key).filter(|_| made < room);
        let Some(slot) = free.and_then(|at| self.slots.get(at)) else {
            // ORDERING: Relaxed, partner `left_out()`: the value is only shown to users.
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return Inherited::NoRoom;
        };
        // ORDERING: Relaxed. The record is published by the Release in `fill()`. The Acquire of a
        // reader that finds the record, and switches it, orders this line before the decrement.
        self.pending.fetch_add(1, Ordering::Relaxed);
        slot.fill(child, bits(self.target.other(), false));
        // ORDERING: Relaxed, partners `child_changes()` and the load above: all hold the lock of
        // new tasks. `len()` only shows the value to users.
        self.child_records
            .store(made.wrapping_add(1), Ordering::Relaxed);
        self.child_changes.fetch_add(1, Ordering::Relaxed);
        if made >= room / 2 {
            Inherited::Crowded
        } else {
            Inherited::Done
        }
    }

    /// Returns the number of records that [`inherit`](Self::inherit) has made or switched.
    pub(crate) fn child_changes(&self, _lock: &NewTaskLock) -> usize {
        // ORDERING: Relaxed, partner `inherit()`: both hold the lock of new tasks.
        self.child_changes.load(Ordering::Relaxed)
    }

    /// Returns the number of children that can have records, including those that have one.
    pub(crate) fn room(&self) -> usize {
        self.capacity.saturating_sub(self.enrolled)
    }

    /// Whether more than half of the room for children is used.
    pub(crate) fn is_crowded(&self) -> bool {
        // ORDERING: Relaxed, partner `record_child()`. A caller that misses the last change is
        // called again: the change kicks the worker.
        self.child_records.load(Ordering::Relaxed) > self.room() / 2
    }

    /// Returns the number of children for which there was no room.
    pub(crate) fn left_out(&self) -> usize {
        // ORDERING: Relaxed, partner `record_child()`.
        self.left_out.load(Ordering::Relaxed)
    }

    /// Returns the record of the task `key`.
    ///
    /// # Context
    ///
    /// Any. Takes no lock, and does not panic.
    pub(crate) fn find(&self, key: usize) -> Option<Record<'_>> {
        self.record(self.slots.position(key)?)
    }

    /// Returns the record in the slot with the index `at`, if there is one.
    fn record(&self, at: usize) -> Option<Record<'_>> {
        let slot = self.slots.get(at)?;
        Some(Record {
            slot,
            task: slot.task()?,
            blocker: self.blockers.get(at)?,
        })
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
        let at = self.slots.position(key)?;
        Some(universe(self.slots.get(at)?.word().bits()))
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
            .map_or(self.target, |slot| universe(slot.word().bits()))
    }

    /// Like [`recorded`](Self::recorded), but returns `None` if the record is not in the first slot
    /// that is probed.
    #[inline(always)]
    pub(crate) fn universe_at_once(&self, key: usize) -> Option<Universe> {
        // One load: the key and the universe are in the same word.
        let word = self.slots.get(self.slots.first(key))?.word();
        Some(universe(word.bits_of(key)?))
    }

    /// Returns the universe to which the tasks are switched.
    pub(crate) fn target(&self) -> Universe {
        self.target
    }

    /// Returns all records.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        (0..self.slots.len()).filter_map(|at| self.record(at))
    }

    /// Returns the records that are not in the target universe.
    pub(crate) fn iter_pending(&self) -> impl Iterator<Item = Record<'_>> {
        self.iter()
            .filter(|record| record.universe() != self.target)
    }

    /// Returns the number of records.
    pub(crate) fn len(&self) -> usize {
        // ORDERING: Relaxed, partner `record_child()`: the value is only shown to users.
        self.enrolled
            .saturating_add(self.child_records.load(Ordering::Relaxed))
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
    pub(crate) fn switch(&self, record: &Record<'_>) -> Switched {
        let word = record.slot.word();
        // The exchange is Relaxed. The switch is after the stack walk that allowed it and before
        // the task's next calls: the scheduler's locks order that, or the task itself switches its
        // record. The switch is before the read of the universe by a reversal: the grace period
        // after `freeze()` orders that.
        if universe(word.bits()) == self.target
            || !record.slot.set_bits(word, word.bits() ^ UNIVERSE)
        {
            return Switched::Before;
        }
        // ORDERING: Release, pairs with Acquire in `pending()`. The CPU that switches the last
        // record only kicks the worker, and the worker calls `pending()`.
        match self.pending.fetch_sub(1, Ordering::Release) {
            1 => Switched::NowLast,
            _ => Switched::Now,
        }
    }

    /// Stops switching, for a reversal. When all read-side sections that run now have ended, only
    /// [`inherit`](Self::inherit) still changes records.
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
