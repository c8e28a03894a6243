// SPDX-License-Identifier: GPL-2.0
// error: E0308

//! The replacement has the calling convention of Rust.

include!("module.inc");

livepatch::patch! {
    struct Patch;

    vmlinux {
        // SAFETY: Never loaded.
        unsafe fn old(object: *mut c_void) -> c_int = new;
    }
}

fn new(_object: *mut c_void) -> c_int {
    0
}
