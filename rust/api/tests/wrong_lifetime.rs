// SPDX-License-Identifier: GPL-2.0
// error: E0308

//! The replacement keeps what it is lent for the call.

include!("module.inc");

livepatch::patch! {
    struct Patch;

    vmlinux {
        // SAFETY: Never loaded.
        unsafe fn old(object: &u32) = new;
    }
}

extern "C" fn new(_object: &'static u32) {}
