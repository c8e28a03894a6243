// SPDX-License-Identifier: GPL-2.0

//! A patch of a function in a module, loaded before or after the patch.
//!
//! `livepatch_sample_target` may come and go: whenever it is there it is patched, from before its
//! first instruction runs. `/proc/livepatch_sample/greeting` then reads "greetings from Rust".

use kernel::{prelude::*, seq_file::SeqFile, seq_print};

module! {
    type: Late,
    name: "rust_livepatch_late",
    authors: ["The rust_livepatch authors"],
    description: "Live patch sample: a module that comes later, in Rust",
    license: "GPL",
}

livepatch::patch! {
    struct Late;

    module "livepatch_sample_target" {
        // SAFETY: `static int greeting_show(struct seq_file *, void *)` in
        // target/livepatch_sample_target.c, which seq_file calls with a seq_file of its own.
        unsafe fn greeting_show(m: &SeqFile, v: *mut c_void) -> c_int = greeting_show;
    }
}

extern "C" fn greeting_show(m: &SeqFile, _v: *mut c_void) -> c_int {
    seq_print!(m, "greetings from Rust\n");
    0
}
