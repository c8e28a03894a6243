// SPDX-License-Identifier: GPL-2.0
// error: E0308

//! A shadow variable is removed from an object with a shared borrow.

use livepatch::Shadow;

include!("module.inc");

livepatch::patch! {
    struct Patch;
}

// SAFETY: Never loaded.
const SHADOW: Shadow<u64, u32> = unsafe { Shadow::new(1) };

pub fn free(object: &u64) -> Option<u32> {
    SHADOW.remove(object)
}
