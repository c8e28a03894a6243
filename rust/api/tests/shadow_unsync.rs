// SPDX-License-Identifier: GPL-2.0
// error: E0277

//! The type of a shadow variable is not `Sync`.

use core::cell::Cell;
use livepatch::Shadow;

include!("module.inc");

livepatch::patch! {
    struct Patch;
}

// SAFETY: Never loaded.
pub const SHADOW: Shadow<u64, Cell<u32>> = unsafe { Shadow::new(1) };
