// SPDX-License-Identifier: GPL-2.0

//! The sysctl that disables all users of ftrace, and a guard against it.
//!
//! Before Linux 7.3 the sysctl `kernel.ftrace_enabled` can be set to 0, unless an `ftrace_ops` with
//! `FTRACE_OPS_FL_PERMANENT` is registered (`ftrace_enable_sysctl()` in `kernel/trace/ftrace.c`).

use crate::ftrace::{
    anchor,
    Registered, //
};
use kernel::{
    bindings,
    prelude::*, //
};

/// Keeps ftrace enabled: the sysctl cannot disable it while this lives.
///
/// # Context
///
/// The drop may sleep, and waits for RCU-tasks.
pub struct FtraceEnabled {
    /// A permanent ops on a function that is never called. `None` if the kernel has no such sysctl.
    _permanent: Option<Registered>,
}

impl FtraceEnabled {
    /// Keeps ftrace enabled from now on.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `EBUSY` if ftrace is disabled; `ENODEV` if it has shut itself down; `ENOENT` if the symbol
    /// of the anchor is not found; `ENOMEM`.
    pub fn new() -> Result<Self> {
        // SAFETY: The function has no requirement.
        let permanent = if unsafe { rlp_bindings::rlp_ftrace_has_switch() } {
            Some(Registered::new(
                bindings::FTRACE_OPS_FL_PERMANENT,
                &mut [anchor(rlp_bindings::rlp_anchor_handler)?],
            )?)
        } else {
            None
        };
        Ok(Self {
            _permanent: permanent,
        })
    }
}
