// SPDX-License-Identifier: GPL-2.0

//! Stand-in for the loader's `patch.rs`: patches as [`crate::plan`] sees them, without what they
//! are checked and resolved by.

use crate::{
    address::{CallTarget, Site},
    prelude::*,
    ranges::Range,
    step::PatchId,
};

pub(crate) struct Original {
    pub(crate) site: Site,
    pub(crate) code: Range,
    pub(crate) cold: KVec<Range>,
}

pub(crate) struct Func {
    pub(crate) replacement: Range,
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
    /// All of them: whose object is not there is the loader's own `active()` to leave out.
    pub(crate) fn active(&self) -> impl Iterator<Item = (&Func, &Original)> {
        self.funcs.iter().map(|func| (func, &func.original))
    }
}

/// How far apart functions are. A function's code is half of that, its cold part a quarter.
pub(crate) const STRIDE: usize = 0x1000;

/// Where function number `nr` of the kernel is; its fentry site is behind an `endbr64`.
pub(crate) fn code_of(nr: usize) -> usize {
    0x10_0000 + nr * STRIDE
}

/// Its fentry site.
pub(crate) fn site_of(nr: usize) -> Site {
    Site(code_of(nr) + 4)
}

/// The text of patch `id`.
pub(crate) fn text_of(id: usize) -> usize {
    0x8000_0000 + id * 0x100_0000
}

/// The patch that the code at `addr` belongs to; `None`: the kernel.
pub(crate) fn owner_of(addr: usize) -> Option<PatchId> {
    let nr = addr.checked_sub(text_of(0))? / (text_of(1) - text_of(0));
    Some(PatchId(nr))
}

/// What it replaces function number `nr` with.
pub(crate) fn replacement_of(id: usize, nr: usize) -> usize {
    text_of(id) + 0x100 + nr * STRIDE
}

impl Patch {
    /// Patch `id` of the functions numbered `nrs`.
    pub(crate) fn of(id: usize, nrs: impl IntoIterator<Item = usize>) -> Self {
        let func = |nr| Func {
            replacement: Range::of(replacement_of(id, nr), STRIDE / 2),
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
