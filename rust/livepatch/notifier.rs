// SPDX-License-Identifier: GPL-2.0

//! The module notifier: a module comes or goes.

use crate::{
    evict::evict,
    modules, //
};
use kernel::prelude::*;
use kernel_ext::module::{
    Events,
    Module, //
};

/// The notifier's callbacks.
pub(crate) struct Watcher;

impl Events for Watcher {
    fn coming(module: Module<'_>) -> Result {
        modules::patch_coming(module)
    }

    fn going(module: Module<'_>) {
        // First, if it is the module of a patch.
        evict(module);
        modules::unpatch_going(module);
    }
}
