// SPDX-License-Identifier: GPL-2.0
// error: E0502

//! A shadow variable is used after it was removed.

use livepatch::Shadow;

include!("module.inc");

livepatch::patch! {
    struct Patch;
}

// SAFETY: Never loaded.
const SHADOW: Shadow<u64, u32> = unsafe { Shadow::new(1) };

pub fn read(object: &mut u64) -> Option<u32> {
    let value = SHADOW.get(object);
    SHADOW.remove(object);
    value.copied()
}
