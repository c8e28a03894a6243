// SPDX-License-Identifier: GPL-2.0

//! A shadow variable: a field added to objects that exist already.
//!
//! Each open file of `/proc/livepatch_sample/session` has a `struct session`, with room for an id
//! and nothing else. The patch adds the number of reads, and the pid of the first reader. It adds
//! them also to sessions that were opened before the patch was enabled. With the patch, the file
//! reads "session 1, read 2 times, first by pid 42". The variable owns a string, which is freed
//! together with the variable.

use kernel::{
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    str::CString,
    sync::atomic::{
        Atomic,
        Relaxed, //
    }, //
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
        // target/livepatch_sample_target.c. Its caller passes a valid seq_file, which is locked for
        // the call, and a session that exists until the file is closed.
        unsafe fn session_show(m: &SeqFile, session: &Session) -> c_int = session_show;
        // SAFETY: `static void session_free(struct session *)` in the same file. It is called once
        // for each session, which is from kzalloc(), when the session's file is closed and no other
        // code can reach the session.
        unsafe fn session_free(session: KBox<Session>) = session_free;
    }
}

/// `struct session` of the target.
#[repr(C)]
struct Session {
    id: u64,
}

/// The shadow variable that the patch adds to a session.
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
    // This frees the variable, if there is one. The session is freed when the function returns.
    drop(READS.remove(&mut session));
}

impl Drop for ShadowDemo {
    fn drop(&mut self) {
        // SAFETY: The patch is disabled, so no task is in the functions above, and no other code
        // uses these variables. Dropping a variable frees a string, which does not sleep.
        unsafe { READS.free_all() };
    }
}
