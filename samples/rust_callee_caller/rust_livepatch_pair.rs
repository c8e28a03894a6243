// SPDX-License-Identifier: GPL-2.0

//! Two functions that must change together: a caller, and a callee with a new convention.
//!
//! The original `name_get()` of the target expects a buffer of a fixed size and returns the length
//! of the name. The replacement takes the size as a second argument and returns the space that is
//! left. The old caller would pass no size to the new callee. The transition prevents this call: it
//! switches each task when neither function is on the task's stack. So
//! `/proc/livepatch_sample/name` reads "..., length 23" or "..., 8 bytes left", and nothing else.

use kernel::{
    prelude::*,
    seq_file::SeqFile,
    seq_print, //
};

module! {
    type: Pair,
    name: "rust_livepatch_pair",
    authors: ["The rust_livepatch authors"],
    description: "Live patch sample: caller and callee change together, in Rust",
    license: "GPL",
}

livepatch::patch! {
    struct Pair;

    module "livepatch_sample_target" {
        // SAFETY: `static int name_get(char *)` in target/livepatch_sample_target.c. Its only
        // caller is `name_show()`, which is replaced as well. The new `name_show()` calls it with
        // the type that is declared here.
        unsafe fn name_get(buf: *mut c_char, size: usize) -> c_int = name_get;
        // SAFETY: `static int name_show(struct seq_file *, void *)` in the same file. Its caller,
        // seq_file, passes a valid seq_file that no other thread uses meanwhile.
        unsafe fn name_show(m: &SeqFile, v: *mut c_void) -> c_int = name_show;
    }
}

const NAME: &CStr = c"livepatch_sample_target";
const NAME_SIZE: usize = 32;

/// Writes the name and its NUL to `buf`. Returns the number of bytes that are left in `buf`.
///
/// # Safety
///
/// `buf` must be valid for writing `size` bytes.
unsafe extern "C" fn name_get(buf: *mut c_char, size: usize) -> c_int {
    let name = NAME.to_bytes_with_nul();
    if size != NAME_SIZE {
        return EINVAL.to_errno();
    }
    // SAFETY: `size` is `NAME_SIZE` here, so by the contract `buf` is valid for `NAME_SIZE` bytes.
    // The name with its NUL has fewer.
    unsafe { buf.copy_from_nonoverlapping(name.as_ptr(), name.len()) };
    (size - name.len()) as c_int
}

extern "C" fn name_show(m: &SeqFile, _v: *mut c_void) -> c_int {
    let mut buf = [0; NAME_SIZE];
    // SAFETY: `buf` has the size that is passed.
    let left = unsafe { name_get(buf.as_mut_ptr(), buf.len()) };
    match CStr::from_bytes_until_nul(&buf) {
        Ok(name) if left >= 0 => seq_print!(m, "{}, {} bytes left\n", name, left),
        _ => seq_print!(m, "mixed\n"),
    }
    0
}
