// SPDX-License-Identifier: GPL-2.0

//! A hash table for the ftrace handler: open addressing with linear probing.
//!
//! A look-up costs the handler one multiplication and, in most cases, one comparison, for a table
//! of any size.

use kernel::prelude::*;

/// A slot of a [`Table`]. The default is a free slot.
pub(crate) trait Slot: Default {
    /// Returns the key of the slot, or 0 if the slot is free.
    fn key(&self) -> usize;
}

/// The table. The number of slots is fixed and a power of two. At most half of the slots are used.
pub(crate) struct Table<S> {
    slots: KVVec<S>,
    /// The index of a slot is a 64-bit hash shifted right by this.
    shift: u32,
}

impl<S: Slot> Table<S> {
    /// Creates an empty table for `count` keys with at least `spread` slots for each key. `spread`
    /// is 2 or more.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
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

    /// Returns the index of the slot where the search for `key` begins.
    ///
    /// This is Fibonacci hashing. The multiplication by 2^64 divided by the golden ratio spreads
    /// the low bits, in which addresses differ, over the high bits, which become the index.
    #[inline(always)]
    pub(crate) fn first(&self, key: usize) -> usize {
        (key as u64)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_shr(self.shift) as usize
    }

    fn next(&self, at: usize) -> usize {
        at.wrapping_add(1) & self.slots.len().wrapping_sub(1)
    }

    /// Inserts `slot`, and returns its index. The slot's key is not 0 and not in the table yet.
    ///
    /// There is room: callers insert no more keys than the table was created for.
    pub(crate) fn insert(&mut self, slot: S) -> Option<usize> {
        let mut at = self.first(slot.key());
        while self.slots.get(at)?.key() != 0 {
            at = self.next(at);
        }
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
        let mut at = self.first(key);
        // Some slots are free, so this ends.
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

    /// Returns the slot at the index that [`insert`](Self::insert) returned.
    pub(crate) fn get(&self, at: usize) -> Option<&S> {
        self.slots.get(at)
    }
}
