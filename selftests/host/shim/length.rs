// SPDX-License-Identifier: GPL-2.0

//! The length of a run.

/// Whether the searches run in full, as with `make check LONG=1`. Otherwise they take a sample.
pub(crate) fn is_full() -> bool {
    std::env::var("RLP_LONG").is_ok_and(|value| !value.is_empty())
}
