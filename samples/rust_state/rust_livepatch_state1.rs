// SPDX-License-Identifier: GPL-2.0

//! A system state: a change outside the code, which has to be undone with the patch.
//!
//! The patch sets the console's log level to 15 (the first number in `/proc/sys/kernel/printk`).
//! When the patch is disabled, it restores the previous level. `rust_livepatch_state2` replaces
//! this patch and takes over the previous level.

use kernel::{
    bindings,
    prelude::*, //
};
use livepatch::{
    Context,
    State, //
};

module! {
    type: StateDemo,
    name: "rust_livepatch_state1",
    authors: ["The rust_livepatch authors"],
    description: "Live patch sample: system state, version 1, in Rust",
    license: "GPL",
}

// SAFETY: All patches with state 1 are in this folder. They agree on version 1: the data are the
// log level before the patch was enabled.
const LOGLEVEL: State<c_int> = unsafe { State::new(1, 1) };

livepatch::patch! {
    struct StateDemo;
    replace: true;
    states: [LOGLEVEL];

    vmlinux with Console {}
}

struct Console;

impl livepatch::Callbacks for Console {
    fn pre_patch(cx: &mut Context<'_>) -> Result {
        LOGLEVEL.set(cx, KBox::new(swap_loglevel(None), GFP_KERNEL)?)?;
        Ok(())
    }

    fn post_patch(_cx: &mut Context<'_>) {
        swap_loglevel(Some(15));
    }

    fn pre_unpatch(cx: &mut Context<'_>) {
        swap_loglevel(LOGLEVEL.get(cx).copied());
    }

    fn post_unpatch(cx: &mut Context<'_>) {
        drop(LOGLEVEL.take(cx));
    }
}

/// Sets the console's log level to `new`, if there is one. Returns the previous level.
fn swap_loglevel(new: Option<c_int>) -> c_int {
    let level = (&raw mut bindings::console_printk).cast::<c_int>();
    // SAFETY: `level` points to the first of the kernel's four numbers. The kernel, too, reads and
    // writes it without a lock.
    let old = unsafe { level.read_volatile() };
    if let Some(new) = new {
        // SAFETY: As above.
        unsafe { level.write_volatile(new) };
    }
    old
}
