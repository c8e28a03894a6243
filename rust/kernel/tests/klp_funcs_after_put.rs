// SPDX-License-Identifier: GPL-2.0
// error: E0505

//! The functions of an object are read after the reference to the patch's module was put.

use kernel_ext::klp::ObjectDesc;

pub fn funcs_after_put(object: ObjectDesc) -> usize {
    let funcs = object.funcs();
    drop(object);
    funcs.map_or(0, |funcs| funcs.count())
}
