// SPDX-License-Identifier: GPL-2.0

//! Replaces all patches, and has no objects: every function runs its original code.

use kernel::prelude::*;

module! {
    type: Revert,
    name: "rlp_rust_revert",
    authors: ["The rust_livepatch authors"],
    description: "Selftest: a cumulative patch without objects, in Rust",
    license: "GPL",
}

livepatch::patch! {
    struct Revert;
    replace: true;
}
