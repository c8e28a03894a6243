// SPDX-License-Identifier: GPL-2.0

//! Reliable stack traces.
//!
//! C header: [`include/linux/stacktrace.h`](srctree/include/linux/stacktrace.h)

use crate::task::Quiescent;
use core::ffi::c_void;

/// The result of a walk over a task's stack.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The whole stack was walked, and no address matched.
    Clear,
    /// This address matched: a return address, or that of an interrupted instruction.
    Hit(usize),
    /// The unwinder could not walk the whole stack reliably.
    Unreliable,
}

/// Walks the kernel stack of `task`, and calls `is_match` with each return address until it returns
/// true.
///
/// The walk has no buffer, and no limit on the depth of the stack. It continues through a
/// kernel-mode interrupt on the stack if the architecture supports that
/// (`arch_stack_walk_reliable()` in `arch/*/kernel/stacktrace.c`).
///
/// # Context
///
/// Any, also with a runqueue locked; takes no lock.
///
/// # Examples
///
/// ```
/// use core::ops::Range;
/// use kernel_ext::{
///     stack::{
///         self,
///         Verdict, //
///     },
///     task::Quiescent, //
/// };
///
/// fn may_return_to(task: &Quiescent<'_>, code: Range<usize>) -> bool {
///     stack::walk(task, |addr| code.contains(&addr)) != Verdict::Clear
/// }
/// ```
pub fn walk<F: FnMut(usize) -> bool>(task: &Quiescent<'_>, is_match: F) -> Verdict {
    struct Walk<F> {
        is_match: F,
        hit: Option<usize>,
    }
    /// # Safety
    ///
    /// `cookie` is a `Walk<F>` that no other code uses during the call.
    unsafe extern "C" fn frame<F: FnMut(usize) -> bool>(cookie: *mut c_void, addr: usize) -> bool {
        // SAFETY: By the contract.
        let walk = unsafe { &mut *cookie.cast::<Walk<F>>() };
        if (walk.is_match)(addr) {
            walk.hit = Some(addr);
        }
        walk.hit.is_none()
    }

    let mut walk = Walk {
        is_match,
        hit: None,
    };
    // SAFETY: `task` does not run on another CPU while its stack is walked, by `Quiescent`. `frame`
    // is called with `walk`, which outlives the call.
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
