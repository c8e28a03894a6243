// SPDX-License-Identifier: GPL-2.0
// error: E0308

//! A shadow variable is read as another type.

use livepatch::Shadow;

include!("module.inc");

livepatch::patch! {
    struct Patch;
}

// SAFETY: Never loaded.
const SHADOW: Shadow<u64, u32> = unsafe { Shadow::new(1) };

pub fn read(object: &u64) -> Option<&u64> {
    SHADOW.get(object)
}
