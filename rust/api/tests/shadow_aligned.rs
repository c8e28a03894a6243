// SPDX-License-Identifier: GPL-2.0
// error: E0080

//! The type of a shadow variable has a greater alignment than a word.

use livepatch::Shadow;

include!("module.inc");

livepatch::patch! {
    struct Patch;
}

#[repr(align(64))]
pub struct Line(u64);

// SAFETY: Never loaded.
pub const SHADOW: Shadow<u64, Line> = unsafe { Shadow::new(1) };
