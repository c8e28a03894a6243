// SPDX-License-Identifier: GPL-2.0
// error: E0080

//! Objects without a size have no address of their own.

use livepatch::Shadow;

include!("module.inc");

livepatch::patch! {
    struct Patch;
}

// SAFETY: Never loaded.
pub const SHADOW: Shadow<(), u32> = unsafe { Shadow::new(1) };
