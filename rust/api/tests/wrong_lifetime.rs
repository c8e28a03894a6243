// SPDX-License-Identifier: GPL-2.0
// error: E0308

//! The replacement keeps a reference beyond the call that it is valid for.

include!("module.inc");

livepatch::patch! {
    struct Patch;

    vmlinux {
        // SAFETY: Never loaded.
        unsafe fn old(object: &u32) = new;
    }
}

extern "C" fn new(_object: &'static u32) {}
