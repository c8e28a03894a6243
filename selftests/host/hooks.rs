// SPDX-License-Identifier: GPL-2.0

//! An exploration of how functions are hooked, promoted, demoted and unhooked: all reachable
//! states.
//!
//! The files are the loader's own. The kernel's text under them is a model, see [`text`]. One
//! thread makes all changes, so there are no interleavings to explore. The search tries all
//! requests, with a failure at each allocation and at each change of the text.

#![allow(dead_code)]

extern crate self as kernel;
extern crate self as kernel_ext;

#[path = "shim/address.rs"]
mod address;
#[path = "shim/kernel.rs"]
mod kernel_parts;
#[path = "shim/length.rs"]
mod length;
#[path = "shim/prelude.rs"]
mod prelude;
#[path = "shim/search.rs"]
mod search;
#[path = "shim/sort.rs"]
mod sort;
#[path = "shim/text.rs"]
mod text;
#[path = "shim/twin.rs"]
mod twin;

mod atomic {
    pub(crate) use core::sync::atomic::{
        AtomicUsize,
        Ordering, //
    };
}

use kernel_parts::time;
use text::{
    direct,
    ftrace, //
};

#[path = "../../rust/livepatch/handlers.rs"]
mod handlers;
#[path = "../../rust/livepatch/hooks.rs"]
mod hooks;
#[path = "../../rust/livepatch/jumps.rs"]
mod jumps;

#[path = "hooks/caller.rs"]
mod caller;
#[path = "hooks/promise.rs"]
mod promise;
