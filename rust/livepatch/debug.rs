// SPDX-License-Identifier: GPL-2.0

//! Messages that are logged if the parameter `debug` is set.
//!
//! `pr_debug!` is compiled out of Rust modules, unless `CONFIG_RUST_DEBUG_ASSERTIONS` is set, and
//! dynamic debug does not know it.

/// Logs like `pr_info!` if the parameter `debug` is set.
#[macro_export]
macro_rules! debug {
    ($($arg:tt)*) => {
        if ::kernel_ext::params::debug() {
            ::kernel::pr_info!($($arg)*);
        }
    };
}
