// SPDX-License-Identifier: GPL-2.0

//! A first patch: one function of the kernel itself.
//!
//! With the patch, `/proc/cmdline` reads "this has been live patched".

use kernel::{
    prelude::*,
    seq_file::SeqFile,
    seq_print, //
};

module! {
    type: Cmdline,
    name: "rust_livepatch_cmdline",
    authors: ["The rust_livepatch authors"],
    description: "Live patch sample: /proc/cmdline, in Rust",
    license: "GPL",
}

livepatch::info! {
    level: "sample",
}

livepatch::patch! {
    struct Cmdline;

    vmlinux {
        // SAFETY: `int cmdline_proc_show(struct seq_file *, void *)` in fs/proc/cmdline.c. Its
        // caller, seq_file, passes a valid seq_file that no other thread uses meanwhile.
        unsafe fn cmdline_proc_show(m: &SeqFile, v: *mut c_void) -> c_int = show;
    }
}

extern "C" fn show(m: &SeqFile, _v: *mut c_void) -> c_int {
    seq_print!(m, "this has been live patched\n");
    0
}
