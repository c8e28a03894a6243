// SPDX-License-Identifier: GPL-2.0

//! A shadow variable: a field added to objects that exist already.
//!
//! Each open file of `/proc/livepatch_sample/session` is a `struct session`, which has room for
//! an id and nothing else. The patch adds the number of reads and who was first, also to sessions
//! that were opened before it was enabled; the file then reads "session 1, read 2 times, first by
//! pid 42". The variable owns memory in its turn, which is freed with it.

use kernel::{
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    str::CString,
    sync::atomic::{Atomic, Relaxed}, //
};
use livepatch::Shadow;

module! {
    type: ShadowDemo,
    name: "rust_livepatch_shadow",
    authors: ["The rust_livepatch authors"],
    description: "Live patch sample: shadow variables, in Rust",
    license: "GPL",
}

livepatch::patch! {
    struct ShadowDemo;

    module "livepatch_sample_target" {
        // SAFETY: `static int session_show(struct seq_file *, struct session *)` in
        // target/livepatch_sample_target.c: a valid seq_file, locked for the call, and a session
        // that lives until the file is closed.
        unsafe fn session_show(m: &SeqFile, session: &Session) -> c_int = session_show;
        // SAFETY: `static void session_free(struct session *)` in the same file: called once for
        // a session from kzalloc(), when its file is closed and nobody else has it.
        unsafe fn session_free(session: KBox<Session>) = session_free;
    }
}

/// `struct session` of the target.
#[repr(C)]
struct Session {
    id: u64,
}

/// What the patch adds to it.
struct Reads {
    count: Atomic<i32>,
    first: CString,
}

// SAFETY: No other patch uses this number.
const READS: Shadow<Session, Reads> = unsafe { Shadow::new(0x72656164) };

extern "C" fn session_show(m: &SeqFile, session: &Session) -> c_int {
    let reads = READS.get_or_alloc(session, GFP_KERNEL, || {
        Ok(Reads {
            count: Atomic::new(0),
            first: CString::try_from_fmt(fmt!("pid {}", current!().pid()))?,
        })
    });
    match reads {
        Ok(Reads { count, first }) => {
            let count = count.fetch_add(1, Relaxed).wrapping_add(1);
            seq_print!(
                m,
                "session {}, read {} times, first by {}\n",
                session.id,
                count,
                &**first
            );
            0
        }
        Err(e) => e.to_errno(),
    }
}

extern "C" fn session_free(mut session: KBox<Session>) {
    // Both are freed here: the variable, if there is one, and the session.
    drop(READS.remove(&mut session));
}

impl Drop for ShadowDemo {
    fn drop(&mut self) {
        // SAFETY: The patch is disabled, so that no task is in the functions above, and nobody
        // else uses these variables. Dropping one frees a string, which does not sleep.
        unsafe { READS.free_all() };
    }
}
