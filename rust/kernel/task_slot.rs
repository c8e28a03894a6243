// SPDX-License-Identifier: GPL-2.0

//! A reference to a task and a few bits, in one word that any context can read without a lock.
//!
//! A table of all tasks needs little memory this way, and a reader that looks for a task touches
//! one word for each slot.

use crate::{
    atomic::{
        AtomicUsize,
        Ordering, //
    },
    task::TaskId, //
};
use core::ptr::NonNull;
use kernel::{
    bindings,
    sync::aref::ARef,
    task::Task, //
};

/// The bits of the word that are not part of the address. The assertion at the end of this file
/// checks that the alignment of a `task_struct` is greater than this.
const BITS: usize = 3;

/// The word of a [`TaskSlot`] at one moment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Word(usize);

impl Word {
    /// Returns the task's [`TaskId`] as a number, or 0 if the slot is empty.
    #[inline(always)]
    pub fn key(self) -> usize {
        self.0 & !BITS
    }

    /// Returns the bits that belong to the task: 0 to 3.
    #[inline(always)]
    pub fn bits(self) -> usize {
        self.0 & BITS
    }

    /// Returns the bits if the slot holds the task with the key `key`, which is not 0.
    #[inline(always)]
    pub fn bits_of(self, key: usize) -> Option<usize> {
        // The bits of a key are 0, so one comparison is enough.
        let bits = self.0 ^ key;
        (bits <= BITS).then_some(bits)
    }
}

/// A slot that is empty, or holds a reference to a task and two bits. Once the slot holds a task,
/// it holds that task until the drop. The bits can change.
///
/// # Invariants
///
/// The word is 0, or the address of a task with bits of [`BITS`]. The slot then owns a reference to
/// the task, and the address stays until the slot is dropped.
#[derive(Default)]
pub struct TaskSlot(AtomicUsize);

impl TaskSlot {
    /// Makes a slot that holds `task` and `bits`.
    pub fn new(task: &Task, bits: usize) -> Self {
        // INVARIANT: The reference belongs to the slot.
        Self(AtomicUsize::new(Self::get(task, bits)))
    }

    /// Gets a reference to `task`, and returns the word for it.
    fn get(task: &Task, bits: usize) -> usize {
        // SAFETY: `task` is valid. The C function that `ARef` calls can be traced, and this helper
        // cannot.
        unsafe { rlp_bindings::rlp_task_get(task.as_ptr()) };
        TaskId::from(task).as_usize() | (bits & BITS)
    }

    /// Puts `task` and `bits` into the slot. Returns whether the slot was empty; if it was not,
    /// nothing changes.
    ///
    /// # Context
    ///
    /// Any in which a reference to a task may be put.
    pub fn fill(&self, task: &Task, bits: usize) -> bool {
        let word = Self::get(task, bits);
        // INVARIANT: If the slot was empty, the reference belongs to the slot.
        // ORDERING: Release, pairs with the Acquire in `task()`: a reader that finds the task sees
        // what was written before the task was put into the slot. Relaxed on failure: nothing was
        // stored.
        let empty = self
            .0
            .compare_exchange(0, word, Ordering::Release, Ordering::Relaxed)
            .is_ok();
        if !empty {
            // SAFETY: `get()` got the reference, and no slot owns it.
            unsafe { Self::put(word) };
        }
        empty
    }

    /// Returns the address of the task and the bits of one moment.
    ///
    /// # Context
    ///
    /// Any. Inlines to a load, which ftrace cannot trace.
    #[inline(always)]
    pub fn word(&self) -> Word {
        // ORDERING: Relaxed. The partners are `fill()` and `set_bits()`. The address is only
        // compared here. A caller that needs an order for the bits must provide it.
        Word(self.0.load(Ordering::Relaxed))
    }

    /// Returns the task, unless the slot is empty.
    pub fn task(&self) -> Option<&Task> {
        // ORDERING: Acquire, pairs with the Release in `fill()`.
        let word = Word(self.0.load(Ordering::Acquire));
        // SAFETY: By the type invariant the address is null or that of a task that lives as long as
        // the slot. `Task` is transparent over `task_struct`.
        unsafe { (word.key() as *const Task).as_ref() }
    }

    /// Changes the bits to `bits` if the word is still `from`. Returns whether the bits were
    /// changed. An empty slot is not changed.
    ///
    /// # Context
    ///
    /// Any. Takes no lock, and does not panic.
    #[inline(always)]
    pub fn set_bits(&self, from: Word, bits: usize) -> bool {
        let to = from.key() | (bits & BITS);
        // INVARIANT: The address stays as it is. An empty slot has no address, and stays empty.
        // ORDERING: Relaxed. The partners are `word()`, and this exchange on other CPUs: one CPU
        // wins. A caller that needs an order for the bits must provide it.
        from.key() != 0
            && self
                .0
                .compare_exchange(from.0, to, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Puts the reference of a word.
    ///
    /// # Safety
    ///
    /// `word` was returned by [`get`](Self::get), and its reference was not put yet.
    unsafe fn put(word: usize) {
        let task = Word(word).key() as *mut Task;
        if let Some(task) = NonNull::new(task) {
            // SAFETY: By the contract, this owns a reference to the task.
            drop(unsafe { ARef::from_raw(task) });
        }
    }
}

impl Drop for TaskSlot {
    fn drop(&mut self) {
        let word = *self.0.get_mut();
        if word != 0 {
            // SAFETY: By the type invariant the slot owns the reference.
            unsafe { Self::put(word) };
        }
    }
}

const _: () = assert!(core::mem::align_of::<bindings::task_struct>() > BITS);
