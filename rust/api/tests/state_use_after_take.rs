// SPDX-License-Identifier: GPL-2.0
// error: E0502

//! The data of a state are used after they were removed.

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

pub fn read(cx: &mut Context<'_>) -> Option<u32> {
    let data = STATE.get(cx);
    drop(STATE.take(cx));
    data.copied()
}
