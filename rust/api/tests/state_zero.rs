// SPDX-License-Identifier: GPL-2.0
// error: E0080

//! Number 0 ends the list of states.

use livepatch::State;

include!("module.inc");

livepatch::patch! {
    struct Patch;
}

// SAFETY: Never loaded.
pub const STATE: State<u32> = unsafe { State::new(0, 1) };
