// SPDX-License-Identifier: GPL-2.0

//! Two functions that must change together: a caller, and a callee with a new convention.
//!
//! `name_get()` of the target trusts its caller for the size of the buffer and returns a length.
//! The patch gives it the size as a second argument, and has it return the space that is left.
//! The old caller with the new callee would pass no size at all: it is the transition that
//! prevents this. Each task changes over when it is in neither function, so that
//! `/proc/livepatch_sample/name` reads "..., length 23" or "..., 8 bytes left", and never "mixed".

use kernel::{prelude::*, seq_file::SeqFile, seq_print};

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
        // SAFETY: `static int name_get(char *)` in target/livepatch_sample_target.c. It is called
        // by `name_show()` alone, which is replaced as well: what is declared here is the type
        // with which the new one calls.
        unsafe fn name_get(buf: *mut c_char, size: usize) -> c_int = name_get;
        // SAFETY: `static int name_show(struct seq_file *, void *)` in the same file, which
        // seq_file calls with a seq_file of its own.
        unsafe fn name_show(m: &SeqFile, v: *mut c_void) -> c_int = name_show;
    }
}

const NAME: &CStr = c"livepatch_sample_target";
const NAME_SIZE: usize = 32;

/// Writes the name and its NUL to `buf`; returns the number of bytes that it leaves free.
///
/// # Safety
///
/// `buf` must be valid for writing `size` bytes.
unsafe extern "C" fn name_get(buf: *mut c_char, size: usize) -> c_int {
    let name = NAME.to_bytes_with_nul();
    if size != NAME_SIZE {
        return EINVAL.to_errno();
    }
    // SAFETY: There is room by the contract, since the name has less than `NAME_SIZE` bytes.
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
