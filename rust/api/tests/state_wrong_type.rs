// SPDX-License-Identifier: GPL-2.0
// error: E0308

//! The data of a state are read as another type.

use livepatch::{
    Context,
    State, //
};

include!("module.inc");

livepatch::patch! {
    struct Patch;
}

// SAFETY: Never loaded.
const STATE: State<u32> = unsafe { State::new(1, 1) };

pub fn read<'a>(cx: &'a Context<'_>) -> Option<&'a u64> {
    STATE.get(cx)
}
