// SPDX-License-Identifier: GPL-2.0

//! Stand-in for `kernel_ext::task_slot`. A slot's word has the same layout, but the number of the
//! task stands for its address. Each model provides `crate::atomic`. On loom, its `Cell` checks
//! that a read of the task is ordered after `fill()`.

use crate::{
    atomic::{
        AtomicUsize,
        Cell,
        Ordering, //
    },
    task::{
        Task,
        TaskId, //
    }, //
};

const BITS: usize = 3;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word(usize);

impl Word {
    pub(crate) fn key(self) -> usize {
        self.0 & !BITS
    }

    pub(crate) fn bits(self) -> usize {
        self.0 & BITS
    }

    pub(crate) fn bits_of(self, key: usize) -> Option<usize> {
        let bits = self.0 ^ key;
        (bits <= BITS).then_some(bits)
    }
}

/// The word of a slot that was never filled is not read. Otherwise loom would explore each read of
/// an empty slot. A reader of a slot that was just filled may still find the slot empty.
///
/// The word is created together with the slot, because loom requires that each access to the word
/// is ordered after its creation.
#[derive(Default)]
pub(crate) struct TaskSlot {
    word: AtomicUsize,
    filled: std::cell::Cell<bool>,
    task: Cell<Task>,
}

impl TaskSlot {
    pub(crate) fn new(task: &Task, bits: usize) -> Self {
        let this = Self {
            word: AtomicUsize::new(TaskId::from(task).as_usize() | bits),
            filled: true.into(),
            task: Cell::default(),
        };
        this.task.set(task.clone());
        this
    }

    fn load(&self, order: Ordering) -> usize {
        if self.filled.get() {
            self.word.load(order)
        } else {
            0
        }
    }

    pub(crate) fn fill(&self, task: &Task, bits: usize) -> bool {
        if self.load(Ordering::Relaxed) != 0 {
            return false;
        }
        self.task.set(task.clone());
        self.filled.set(true);
        let word = TaskId::from(task).as_usize() | bits;
        self.word
            .compare_exchange(0, word, Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }

    pub(crate) fn word(&self) -> Word {
        Word(self.load(Ordering::Relaxed))
    }

    pub(crate) fn task(&self) -> Option<&Task> {
        match self.load(Ordering::Acquire) {
            0 => None,
            _ => self.task.get(),
        }
    }

    pub(crate) fn set_bits(&self, from: Word, bits: usize) -> bool {
        let to = from.key() | bits;
        self.word
            .compare_exchange(from.0, to, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
}
