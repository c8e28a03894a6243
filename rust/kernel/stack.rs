// SPDX-License-Identifier: GPL-2.0

//! Reliable stack traces.
//!
//! C header: [`include/linux/stacktrace.h`](srctree/include/linux/stacktrace.h)

use crate::task::Quiescent;
use core::ffi::c_void;

/// What a walk over a task's stack has shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every frame was seen, and none was looked for.
    Clear,
    /// This return address, or interrupted instruction, was looked for.
    Hit(usize),
    /// The unwinder could not vouch for the whole stack.
    Unreliable,
}

/// Walks `task`'s kernel stack, asking `looked_for` about each return address.
///
/// Streams: no buffer, no limit on depth. An in-kernel interrupt on the stack is unwound through
/// where the architecture can (`arch_stack_walk_reliable()` in `arch/*/kernel/stacktrace.c`).
///
/// Context: any, also with a runqueue locked; takes no lock.
pub fn walk<F: FnMut(usize) -> bool>(task: &Quiescent<'_>, looked_for: F) -> Verdict {
    struct Walk<F> {
        looked_for: F,
        hit: Option<usize>,
    }
    /// # Safety
    ///
    /// `cookie` is a `Walk<F>` that nobody else uses during the call.
    unsafe extern "C" fn frame<F: FnMut(usize) -> bool>(cookie: *mut c_void, addr: usize) -> bool {
        // SAFETY: By the contract.
        let walk = unsafe { &mut *cookie.cast::<Walk<F>>() };
        if (walk.looked_for)(addr) {
            walk.hit = Some(addr);
        }
        walk.hit.is_none()
    }

    let mut walk = Walk {
        looked_for,
        hit: None,
    };
    // SAFETY: `task` does not run elsewhere while its stack is walked, by `Quiescent`; `frame` gets
    // back `walk`, which outlives the call.
    let ret = unsafe {
        rlp_bindings::rlp_stack_walk_reliable(
            Some(frame::<F>),
            (&raw mut walk).cast(),
            task.as_ptr(),
        )
    };
    match (walk.hit, ret) {
        (Some(addr), _) => Verdict::Hit(addr),
        (None, 0) => Verdict::Clear,
        (None, _) => Verdict::Unreliable,
    }
}
