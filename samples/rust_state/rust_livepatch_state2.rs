// SPDX-License-Identifier: GPL-2.0

//! The next version of a system state, which takes over the data of `rust_livepatch_state1`.
//!
//! The data of version 2 have another type than those of version 1. The compiler distinguishes the
//! two: data of version 1 can only be read as version 1. If only this patch is loaded, it does the
//! same as version 1, with another log level.

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
    name: "rust_livepatch_state2",
    authors: ["The rust_livepatch authors"],
    description: "Live patch sample: system state, version 2, in Rust",
    license: "GPL",
}

/// The data of version 2.
struct LogLevel {
    found: c_int,
    inherited: bool,
}

// SAFETY: All patches with state 1 are in this folder. They agree on version 1: the data are the
// log level before the patch was enabled.
const V1: State<c_int> = unsafe { State::new(1, 1) };
// SAFETY: As above. They also agree on version 2: the data are a `LogLevel`.
const LOGLEVEL: State<LogLevel> = unsafe { State::new(1, 2) };

livepatch::patch! {
    struct StateDemo;
    replace: true;
    states: [LOGLEVEL];

    vmlinux with Console {}
}

struct Console;

impl livepatch::Callbacks for Console {
    fn pre_patch(cx: &mut Context<'_>) -> Result {
        let level = LogLevel {
            found: swap_loglevel(None),
            inherited: false,
        };
        pr_info!("version before: {:?}\n", LOGLEVEL.prev_version(cx));
        LOGLEVEL.set(cx, KBox::new(level, GFP_KERNEL)?)?;
        Ok(())
    }

    // When this is called, the transition can no longer be reversed. The old patch still exists, so
    // this patch can take over its data. On probation it must not: the old patch may be restored.
    fn post_patch(cx: &mut Context<'_>) {
        let v1 = V1.take_prev(cx);
        if let Some(level) = LOGLEVEL.get_mut(cx) {
            if let Some(found) = v1 {
                level.found = *found;
                level.inherited = true;
            }
            pr_info!("found {}, inherited: {}\n", level.found, level.inherited);
        }
        swap_loglevel(Some(14));
    }

    fn pre_unpatch(cx: &mut Context<'_>) {
        swap_loglevel(LOGLEVEL.get(cx).map(|level| level.found));
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
