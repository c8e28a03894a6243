// SPDX-License-Identifier: GPL-2.0

//! The layout of the structures for the loader in Rust; `abi.c` has the layout in C.

use core::mem::{
    offset_of,
    size_of, //
};
use livepatch::abi::{
    klp_callbacks,
    klp_func,
    klp_object,
    klp_patch,
    klp_state, //
};

/// In the order of `abi.c`.
#[no_mangle]
#[link_section = ".rodata.rlp_abi"]
pub static RLP_ABI: [usize; 23] = [
    size_of::<klp_func>(),
    offset_of!(klp_func, old_name),
    offset_of!(klp_func, new_func),
    offset_of!(klp_func, old_sympos),
    size_of::<klp_callbacks>(),
    offset_of!(klp_callbacks, pre_patch),
    offset_of!(klp_callbacks, post_patch),
    offset_of!(klp_callbacks, pre_unpatch),
    offset_of!(klp_callbacks, post_unpatch),
    offset_of!(klp_callbacks, post_unpatch_enabled),
    size_of::<klp_object>(),
    offset_of!(klp_object, name),
    offset_of!(klp_object, funcs),
    offset_of!(klp_object, callbacks),
    size_of::<klp_state>(),
    offset_of!(klp_state, id),
    offset_of!(klp_state, version),
    offset_of!(klp_state, data),
    size_of::<klp_patch>(),
    offset_of!(klp_patch, r#mod),
    offset_of!(klp_patch, objs),
    offset_of!(klp_patch, states),
    offset_of!(klp_patch, replace),
];
