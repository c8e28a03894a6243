// SPDX-License-Identifier: GPL-2.0

//! Open addressing with linear probing, for the two tables that the handler looks into.
//!
//! Tables have a power of two of slots, at most half of them used.

/// How many slots a table for `count` keys has, at least one; `None` if that is no number.
pub(crate) fn slots_for(count: usize) -> Option<usize> {
    count.checked_mul(2)?.checked_next_power_of_two()
}

/// The slot where the search for `key` begins, in a table of `len` slots.
///
/// Fibonacci hashing: multiplication by 2^64 divided by the golden ratio spreads the low bits, in
/// which addresses differ, over the high ones, which are taken.
#[inline(always)]
pub(crate) fn first(key: usize, len: usize) -> usize {
    ((key as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & len.wrapping_sub(1)
}

/// The slot after `at`.
#[inline(always)]
pub(crate) fn next(at: usize, len: usize) -> usize {
    at.wrapping_add(1) & len.wrapping_sub(1)
}
