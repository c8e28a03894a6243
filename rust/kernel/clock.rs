// SPDX-License-Identifier: GPL-2.0

//! The time of day.
//!
//! C header: [`include/linux/timekeeping.h`](srctree/include/linux/timekeeping.h)

use kernel::{
    bindings,
    time::Delta, //
};

/// Returns the time since the Unix epoch by the system's clock, which jumps when it is set.
///
/// # Context
///
/// Any but NMI.
pub fn since_epoch() -> Delta {
    // SAFETY: The only requirement of the function is a context other than NMI. In an NMI it could
    // wait for ever.
    Delta::from_nanos(unsafe { bindings::ktime_get_real() })
}
