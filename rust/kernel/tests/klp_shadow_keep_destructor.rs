// SPDX-License-Identifier: GPL-2.0
// error: E0521

//! A destructor is kept beyond the call of its author: the author's module may be unloaded then.

use kernel_ext::klp_shadow::Destructor;

pub fn keep_destructor(destructor: Destructor<'_>) {
    keep(destructor)
}

fn keep<T: 'static>(_value: T) {}
