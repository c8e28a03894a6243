// SPDX-License-Identifier: GPL-2.0
// error: E0308

//! The replacement has more arguments than the declaration.

include!("module.inc");

livepatch::patch! {
    struct Patch;

    vmlinux {
        // SAFETY: Never loaded.
        unsafe fn old(object: *mut c_void) -> c_int = new;
    }
}

unsafe extern "C" fn new(_object: *mut c_void, _size: usize) -> c_int {
    0
}
