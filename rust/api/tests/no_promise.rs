// SPDX-License-Identifier: GPL-2.0
// error: no rules expected

//! The declaration of a function has no `unsafe`.

include!("module.inc");

livepatch::patch! {
    struct Patch;

    vmlinux {
        fn old(object: *mut c_void) -> c_int = new;
    }
}

unsafe extern "C" fn new(_object: *mut c_void) -> c_int {
    0
}
