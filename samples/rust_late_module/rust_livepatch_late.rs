// SPDX-License-Identifier: GPL-2.0

//! A patch for a module that is loaded before or after the patch.
//!
//! `livepatch_sample_target` may be loaded and unloaded at any time. If it is loaded after the
//! patch, it is patched before its first instruction runs. With the patch,
//! `/proc/livepatch_sample/greeting` reads "greetings from Rust".

use kernel::{
    prelude::*,
    seq_file::SeqFile,
    seq_print, //
};

module! {
    type: Late,
    name: "rust_livepatch_late",
    authors: ["The rust_livepatch authors"],
    description: "Live patch sample: a module that is loaded later, in Rust",
    license: "GPL",
}

livepatch::patch! {
    struct Late;

    module "livepatch_sample_target" {
        // SAFETY: `static int greeting_show(struct seq_file *, void *)` in
        // target/livepatch_sample_target.c. Its caller, seq_file, passes a valid seq_file that no
        // other thread uses meanwhile.
        unsafe fn greeting_show(m: &SeqFile, v: *mut c_void) -> c_int = greeting_show;
    }
}

extern "C" fn greeting_show(m: &SeqFile, _v: *mut c_void) -> c_int {
    seq_print!(m, "greetings from Rust\n");
    0
}
