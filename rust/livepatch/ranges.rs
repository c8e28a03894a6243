// SPDX-License-Identifier: GPL-2.0

//! A set of addresses, as sorted ranges that do not overlap.

use kernel::prelude::*;
use kernel_ext::sort;

/// The addresses from `start` to `end`, both included. `end` is the address after a function's last
/// byte: that is the return address if the function ends with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Range {
    /// Returns the range of `size` bytes from `start`, and the address after them.
    pub(crate) fn of(start: usize, size: usize) -> Self {
        Self {
            start,
            end: start.saturating_add(size),
        }
    }

    /// Whether an instruction at `addr` is in the range. No instruction is at `end`, which is the
    /// address after the last byte.
    pub(crate) fn has_instruction(&self, addr: usize) -> bool {
        (self.start..self.end).contains(&addr)
    }
}

/// The set. It is made once for each view of a transition, and searched for every return address on
/// every stack.
pub(crate) struct Ranges(KVVec<Range>);

impl Ranges {
    /// Returns the union of `ranges`.
    pub(crate) fn new(mut ranges: KVVec<Range>) -> Self {
        sort::by_key(&mut ranges, |range| range.start);
        let mut last = 0;
        for i in 1..ranges.len() {
            let Some(next) = ranges.get(i).copied() else {
                break;
            };
            let Some(current) = ranges.get_mut(last) else {
                break;
            };
            if next.start <= current.end {
                current.end = current.end.max(next.end);
                continue;
            }
            last = last.saturating_add(1);
            if let Some(free) = ranges.get_mut(last) {
                *free = next;
            }
        }
        ranges.truncate(last.saturating_add(1));
        Self(ranges)
    }

    /// Whether `addr` is in the set.
    ///
    /// # Context
    ///
    /// Any. Takes no lock, and does not panic.
    #[inline]
    pub(crate) fn contains(&self, addr: usize) -> bool {
        self.find(addr).is_some()
    }

    /// Returns an address in the instruction to which `addr` belongs. `addr` is in the set, and was
    /// found on a stack.
    ///
    /// A return address is behind the call, so it may be behind the function, where another one
    /// begins. The result is in the call, as for the format `%pB` of the kernel. Only at the start
    /// of a range `addr` itself is returned: a task was interrupted there.
    ///
    /// # Context
    ///
    /// As for [`contains`](Self::contains).
    pub(crate) fn instruction_of(&self, addr: usize) -> usize {
        match self.find(addr) {
            Some(range) if range.start < addr => addr.saturating_sub(1),
            _ => addr,
        }
    }

    #[inline]
    fn find(&self, addr: usize) -> Option<&Range> {
        let after = self.0.partition_point(|range| range.start <= addr);
        let range = after.checked_sub(1).and_then(|at| self.0.get(at))?;
        (addr <= range.end).then_some(range)
    }
}
