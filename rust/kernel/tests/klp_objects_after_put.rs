// SPDX-License-Identifier: GPL-2.0
// error: E0505

//! The objects of a patch are read after the reference to the patch's module was put.

use kernel_ext::klp::PatchDesc;

pub fn objects_after_put(patch: PatchDesc) -> usize {
    let objects = patch.objects();
    drop(patch);
    objects.map_or(0, |objects| objects.count())
}
