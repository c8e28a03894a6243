// SPDX-License-Identifier: GPL-2.0

//! The module notifier, called when a module is being loaded or unloaded.

use crate::{
    evict::evict,
    modules, //
};
use kernel::prelude::*;
use kernel_ext::module::{
    Events,
    NotifiedModule, //
};

/// The callbacks of the notifier.
pub(crate) struct Watcher;

impl Events for Watcher {
    fn coming(module: NotifiedModule<'_>) -> Result {
        modules::patch_coming(module.into())
    }

    fn going(module: NotifiedModule<'_>) {
        let module = module.into();
        // If this is the module of a patch, the patch is removed first.
        evict(module);
        modules::unpatch_going(module);
    }
}
