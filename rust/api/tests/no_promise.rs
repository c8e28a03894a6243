// SPDX-License-Identifier: GPL-2.0
// error: no rules expected

//! Nobody promises that the declared type is what the function has.

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
