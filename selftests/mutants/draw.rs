// SPDX-License-Identifier: GPL-2.0

//! The order in which a seed draws mutants.

use crate::mutant::Mutant;

/// Shuffles the mutants (Fisher and Yates). Each order is as likely as any other.
pub(crate) fn draw(mut mutants: Vec<Mutant>, seed: u64) -> Vec<Mutant> {
    let mut random = Random(seed);
    for last in (1..mutants.len()).rev() {
        let other = random.below(last as u64 + 1) as usize;
        mutants.swap(last, other);
    }
    mutants
}

/// splitmix64: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `limit`. The error of the division is far below what a draw shows.
    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}
