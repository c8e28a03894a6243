// SPDX-License-Identifier: GPL-2.0

//! The time of day.
//!
//! C header: [`include/linux/timekeeping.h`](srctree/include/linux/timekeeping.h)

use kernel::{bindings, time::Delta};

/// How long ago the Unix epoch is by the system's clock, which may be set, and then jumps.
///
/// Context: any but NMI.
pub fn since_epoch() -> Delta {
    // SAFETY: Nothing is asked of the caller but not to be in NMI context, and there it would only
    // wait for ever.
    Delta::from_nanos(unsafe { bindings::ktime_get_real() })
}
