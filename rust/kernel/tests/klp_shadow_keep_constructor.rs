// SPDX-License-Identifier: GPL-2.0
// error: E0521

//! A constructor is kept beyond the call of its author: the author's data may be gone then.

use kernel_ext::klp_shadow::Constructor;

pub fn keep_constructor(constructor: Constructor<'_>) {
    keep(constructor)
}

fn keep<T: 'static>(_value: T) {}
