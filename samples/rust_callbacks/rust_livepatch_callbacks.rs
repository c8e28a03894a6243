// SPDX-License-Identifier: GPL-2.0

//! Callbacks: each one logs its name and the object that is patched or unpatched.
//!
//! The patch replaces no function. It has two objects, the kernel itself and
//! `livepatch_sample_target`. The callbacks of both run when the patch is enabled and disabled.
//! The callbacks of the target also run when the target is loaded and unloaded. With
//! `pre_patch_ret=-19`, the `pre_patch` callback of the kernel's object fails with ENODEV, and the
//! patch is not enabled.

use kernel::{
    error::to_result,
    prelude::*, //
};
use livepatch::Context;

module! {
    type: CallbacksDemo,
    name: "rust_livepatch_callbacks",
    authors: ["The rust_livepatch authors"],
    description: "Live patch sample: callbacks, in Rust",
    license: "GPL",
    params: {
        pre_patch_ret: i32 {
            default: 0,
            description: "Return value of pre_patch: 0 or a negative errno",
        },
    },
}

livepatch::patch! {
    struct CallbacksDemo;

    vmlinux with Log {}
    module "livepatch_sample_target" with Log {}
}

struct Log;

impl livepatch::Callbacks for Log {
    fn pre_patch(cx: &mut Context<'_>) -> Result {
        pr_info!("pre_patch: {}\n", cx.object());
        to_result(-module_parameters::pre_patch_ret.value().abs())
    }

    fn post_patch(cx: &mut Context<'_>) {
        pr_info!("post_patch: {}\n", cx.object());
    }

    fn pre_unpatch(cx: &mut Context<'_>) {
        pr_info!("pre_unpatch: {}\n", cx.object());
    }

    fn post_unpatch(cx: &mut Context<'_>) {
        pr_info!("post_unpatch: {}\n", cx.object());
    }
}
