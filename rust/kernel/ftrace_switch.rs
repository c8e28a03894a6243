// SPDX-License-Identifier: GPL-2.0

//! The switch that takes all of ftrace's users away, and what holds it on.
//!
//! Before Linux 7.3 the sysctl `kernel.ftrace_enabled` can be set to 0, unless an `ftrace_ops` is
//! registered that says it is permanent (`ftrace_enable_sysctl()` in `kernel/trace/ftrace.c`).

use crate::ftrace::{anchor, Registered};
use kernel::{bindings, prelude::*};

/// ftrace is on, and cannot be switched off as long as this lives.
pub struct FtraceEnabled {
    /// On a function that nobody calls: it is there to be registered. `None` where the kernel has
    /// no such switch.
    _permanent: Option<Registered>,
}

impl FtraceEnabled {
    /// Holds it.
    ///
    /// Context: may sleep; so does the drop, for RCU-tasks. `EBUSY` where ftrace is off; `ENOMEM`.
    pub fn new() -> Result<Self> {
        // SAFETY: No requirement.
        let permanent = match unsafe { rlp_bindings::rlp_ftrace_has_switch() } {
            true => Some(Registered::new(
                bindings::FTRACE_OPS_FL_PERMANENT,
                &mut [anchor(rlp_bindings::rlp_anchor_handler)?],
            )?),
            false => None,
        };
        Ok(Self {
            _permanent: permanent,
        })
    }
}
