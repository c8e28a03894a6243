// SPDX-License-Identifier: GPL-2.0
// error: E0505

//! The states of a patch are read after the reference to the patch's module was put.

use kernel_ext::klp::PatchDesc;

pub fn states_after_put(patch: PatchDesc) -> usize {
    let states = patch.states();
    drop(patch);
    states.count()
}
