// SPDX-License-Identifier: GPL-2.0

//! How functions come to be hooked, to jump, and go back: every state that can be reached, explored.
//!
//! The files are the loader's own; the kernel's text under them is a model, see [`text`]. One thread
//! makes all changes, so there is nothing to interleave: the search is over what is asked for and
//! what goes wrong, at every allocation and every change of the text.

#![allow(dead_code)]

extern crate self as kernel;
extern crate self as kernel_ext;

#[path = "shim/prelude.rs"]
mod prelude;
#[path = "shim/sort.rs"]
mod sort;
#[path = "shim/text.rs"]
mod text;

use text::{direct, ftrace, time};

#[path = "../../rust/livepatch/hooks.rs"]
mod hooks;
#[path = "../../rust/livepatch/jumps.rs"]
mod jumps;

#[path = "hooks/explore.rs"]
mod explore;
#[path = "hooks/promise.rs"]
mod promise;
