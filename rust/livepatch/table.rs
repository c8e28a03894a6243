// SPDX-License-Identifier: GPL-2.0

//! A hash table for the ftrace handler: open addressing with linear probing.
//!
//! A look-up costs the handler two multiplications and, in most cases, one comparison, for a table
//! of any size.

use kernel::prelude::*;

/// A slot of a [`Table`]. The default is a free slot.
pub(crate) trait Slot: Default {
    /// Returns the key of the slot, or 0 if the slot is free.
    fn key(&self) -> usize;
}

/// A hash table with open addressing. The number of slots is fixed. At most half of the slots are
/// used.
pub(crate) struct Table<S> {
    /// In whole pages: `kmalloc()` would round the size up to a power of two.
    slots: VVec<S>,
}

impl<S: Slot> Table<S> {
    /// Creates an empty table for `count` keys with `spread` slots for each key. `spread` is 2 or
    /// more.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(count: usize, spread: usize) -> Result<Self> {
        let len = count.max(1).checked_mul(spread).ok_or(ENOMEM)?;
        let mut slots = VVec::with_capacity(len, GFP_KERNEL)?;
        for _ in 0..len {
            slots.push(S::default(), GFP_KERNEL)?;
        }
        Ok(Self { slots })
    }

    /// Returns the number of slots, free or not.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns the index of the slot where the search for `key` begins.
    ///
    /// This is Fibonacci hashing. The factor is 2^32 divided by the golden ratio. The
    /// multiplication spreads the low bits, in which addresses differ, over the high bits. The
    /// result is a fraction of 2^32, and the second multiplication scales it to the number of
    /// slots. The hash has 32 bits, because 64 bits would take more instructions at each call.
    #[inline(always)]
    pub(crate) fn first(&self, key: usize) -> usize {
        let hash = (key as u32).wrapping_mul(0x9e37_79b9);
        (u64::from(hash).wrapping_mul(self.slots.len() as u64) >> 32) as usize
    }

    fn next(&self, at: usize) -> usize {
        match at.wrapping_add(1) {
            next if next < self.slots.len() => next,
            _ => 0,
        }
    }

    /// Returns the index of the free slot into which `key` is to be put, or `None` if the table is
    /// full. The key is not 0 and not in the table yet.
    pub(crate) fn free(&self, key: usize) -> Option<usize> {
        let mut at = self.first(key);
        for _ in 0..self.slots.len() {
            if self.slots.get(at)?.key() == 0 {
                return Some(at);
            }
            at = self.next(at);
        }
        None
    }

    /// Inserts `slot`, and returns its index. The slot's key is not 0 and not in the table yet.
    ///
    /// There is room: callers insert no more keys than the table was created for.
    pub(crate) fn insert(&mut self, slot: S) -> Option<usize> {
        let at = self.free(slot.key())?;
        *self.slots.get_mut(at)? = slot;
        Some(at)
    }

    /// Returns the slot with `key`, which is not 0, if the search finds it in the first slot. In
    /// most cases the key is there.
    ///
    /// # Context
    ///
    /// Any. Takes no lock, and does not panic.
    #[inline(always)]
    pub(crate) fn find_at_once(&self, key: usize) -> Option<&S> {
        let slot = self.slots.get(self.first(key))?;
        (slot.key() == key).then_some(slot)
    }

    /// Returns the slot with `key`, which is not 0.
    ///
    /// # Context
    ///
    /// Any. Takes no lock, and does not panic.
    pub(crate) fn find(&self, key: usize) -> Option<&S> {
        self.get(self.position(key)?)
    }

    /// Returns the index of the slot with `key`, which is not 0.
    ///
    /// # Context
    ///
    /// Any. Takes no lock, and does not panic.
    pub(crate) fn position(&self, key: usize) -> Option<usize> {
        let mut at = self.first(key);
        // Some slots are free, so this ends.
        loop {
            match self.slots.get(at)?.key() {
                0 => return None,
                found if found == key => return Some(at),
                _ => at = self.next(at),
            }
        }
    }

    /// Returns the slot at the index `at`. [`insert`](Self::insert) returns such an index.
    #[inline(always)]
    pub(crate) fn get(&self, at: usize) -> Option<&S> {
        self.slots.get(at)
    }
}
