// SPDX-License-Identifier: GPL-2.0
// error: E0277

//! The type after `with` has no callbacks.

include!("module.inc");

livepatch::patch! {
    struct Patch;

    vmlinux with Callbacks {}
}

struct Callbacks;
