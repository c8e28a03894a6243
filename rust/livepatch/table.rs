// SPDX-License-Identifier: GPL-2.0

//! A hash table as the handler needs it: open addressing with linear probing.
//!
//! The handler pays for one multiplication and, mostly, one comparison, whatever the table's size.

use kernel::prelude::*;

/// A place in a [`Table`]; by default a free one.
pub(crate) trait Slot: Default {
    /// What it is found by; 0: it is free.
    fn key(&self) -> usize;
}

/// The table. Its size is fixed: a power of two of slots, at most half of them used.
pub(crate) struct Table<S> {
    slots: KVVec<S>,
    /// What is left of a hash of 64 bits is the number of a slot.
    shift: u32,
}

impl<S: Slot> Table<S> {
    /// An empty table for `count` keys, with at least `spread` slots, 2 or more, for each.
    ///
    /// May sleep. `ENOMEM`.
    pub(crate) fn new(count: usize, spread: usize) -> Result<Self> {
        let len = count
            .max(1)
            .checked_mul(spread)
            .and_then(usize::checked_next_power_of_two)
            .ok_or(ENOMEM)?;
        let mut slots = KVVec::with_capacity(len, GFP_KERNEL)?;
        for _ in 0..len {
            slots.push(S::default(), GFP_KERNEL)?;
        }
        let shift = u64::BITS.saturating_sub(len.trailing_zeros());
        Ok(Self { slots, shift })
    }

    /// The slot where the search for `key` begins.
    ///
    /// Fibonacci hashing: multiplication by 2^64 divided by the golden ratio spreads the low bits,
    /// in which addresses differ, over the high ones, which are taken.
    #[inline(always)]
    pub(crate) fn first(&self, key: usize) -> usize {
        (key as u64)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_shr(self.shift) as usize
    }

    fn next(&self, at: usize) -> usize {
        at.wrapping_add(1) & self.slots.len().wrapping_sub(1)
    }

    /// Puts `slot`, whose key is not 0 and not in the table, where it will be found, and tells
    /// where. There is room: no more are put in than the table was made for.
    pub(crate) fn insert(&mut self, slot: S) -> Option<usize> {
        let mut at = self.first(slot.key());
        while self.slots.get(at)?.key() != 0 {
            at = self.next(at);
        }
        *self.slots.get_mut(at)? = slot;
        Some(at)
    }

    /// The slot with `key`, which is not 0, if it is where the search begins, as it mostly is.
    ///
    /// Context: any; no lock, no panic.
    #[inline(always)]
    pub(crate) fn find_at_once(&self, key: usize) -> Option<&S> {
        let slot = self.slots.get(self.first(key))?;
        (slot.key() == key).then_some(slot)
    }

    /// The slot with `key`, which is not 0. Context: any; no lock, no panic.
    pub(crate) fn find(&self, key: usize) -> Option<&S> {
        let mut at = self.first(key);
        // Some slots are free: this ends.
        loop {
            let slot = self.slots.get(at)?;
            if slot.key() == key {
                return Some(slot);
            }
            if slot.key() == 0 {
                return None;
            }
            at = self.next(at);
        }
    }

    /// The slot at a place that [`insert`](Self::insert) told.
    pub(crate) fn get(&self, at: usize) -> Option<&S> {
        self.slots.get(at)
    }
}
