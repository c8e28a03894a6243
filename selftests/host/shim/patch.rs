// SPDX-License-Identifier: GPL-2.0

//! Stand-in for the loader's `patch.rs`: the parts of a patch that [`crate::plan`] uses.

use crate::{
    address::{
        CallTarget,
        Site, //
    },
    prelude::*,
    ranges::Range,
    step::PatchId, //
};

pub(crate) struct Original {
    pub(crate) site: Site,
    pub(crate) code: Range,
    pub(crate) cold: KVec<Range>,
}

pub(crate) struct Func {
    pub(crate) replacement: Range,
    pub(crate) parts: KVec<Range>,
    pub(crate) target: CallTarget,
    pub(crate) original: Original,
}

pub(crate) struct PatchDesc {
    pub(crate) text: (usize, usize),
}

impl PatchDesc {
    pub(crate) fn module(&self) -> &Self {
        self
    }

    pub(crate) fn text(&self) -> (usize, usize) {
        self.text
    }
}

pub(crate) struct Patch {
    pub(crate) id: PatchId,
    pub(crate) funcs: Vec<Func>,
    pub(crate) desc: PatchDesc,
}

impl Patch {
    /// Returns all functions. The loader's own `active()` leaves out the functions of absent
    /// objects.
    pub(crate) fn active(&self) -> impl Iterator<Item = (&Func, &Original)> {
        self.funcs.iter().map(|func| (func, &func.original))
    }
}

/// The distance between two functions. The code of a function takes up half of it, and its cold
/// part a quarter.
pub(crate) const STRIDE: usize = 0x1000;

/// Returns the address of the kernel's function number `nr`. It begins with an `endbr64`.
pub(crate) fn code_of(nr: usize) -> usize {
    0x10_0000 + nr * STRIDE
}

/// Returns the fentry site of the kernel's function number `nr`, behind the `endbr64`.
pub(crate) fn site_of(nr: usize) -> Site {
    Site(code_of(nr) + 4)
}

/// Returns the start of the text of patch `id`.
pub(crate) fn text_of(id: usize) -> usize {
    0x8000_0000 + id * 0x100_0000
}

/// Returns the patch that the code at `addr` belongs to, or `None` for the kernel.
pub(crate) fn owner_of(addr: usize) -> Option<PatchId> {
    let nr = addr.checked_sub(text_of(0))? / (text_of(1) - text_of(0));
    Some(PatchId(nr))
}

/// Returns the address of the replacement for function number `nr` in patch `id`.
pub(crate) fn replacement_of(id: usize, nr: usize) -> usize {
    text_of(id) + 0x100 + nr * STRIDE
}

/// Returns the address of a part of that replacement which is outside of its symbol.
pub(crate) fn part_of(id: usize, nr: usize) -> usize {
    replacement_of(id, nr) + STRIDE / 2 + 16
}

impl Patch {
    /// Makes patch `id`, which replaces the functions with the numbers `nrs`.
    pub(crate) fn of(id: usize, nrs: impl IntoIterator<Item = usize>) -> Self {
        let func = |nr| Func {
            replacement: Range::of(replacement_of(id, nr), STRIDE / 2),
            parts: vec![Range::of(part_of(id, nr), 16)].into(),
            target: CallTarget::at(replacement_of(id, nr)).unwrap(),
            original: Original {
                site: site_of(nr),
                code: Range::of(code_of(nr), STRIDE / 2),
                cold: vec![Range::of(code_of(nr) + STRIDE / 2 + 16, STRIDE / 4)].into(),
            },
        };
        Self {
            id: PatchId(id),
            funcs: nrs.into_iter().map(func).collect(),
            desc: PatchDesc {
                text: (text_of(id), 0x80_0000),
            },
        }
    }
}
