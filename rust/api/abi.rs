// SPDX-License-Identifier: GPL-2.0

//! The ABI of the loader: the structures of `<linux/livepatch.h>` and the C functions.
//!
//! The structures are defined here because the Rust bindings of the kernel do not have them, and a
//! kernel without CONFIG_LIVEPATCH only defines `klp_callbacks`. Fields have the names of C. The
//! members that belong to the loader are one field `internal`, which a patch leaves zeroed; its
//! type has the right size. `rust/api/tests/` compares the layouts with those of C.
//!
//! C header: [`include/linux/livepatch.h`](srctree/include/linux/livepatch.h)

#![expect(missing_docs, non_camel_case_types)]
#![allow(
    improper_ctypes,
    reason = "`lock_class_key` has no fields without lockdep"
)]

use core::mem::MaybeUninit;
use kernel::{
    bindings,
    prelude::*,
    types::Opaque, //
};

#[repr(C)]
#[derive(Clone, Copy)]
pub struct klp_func {
    pub old_name: *const c_char,
    pub new_func: *mut c_void,
    pub old_sympos: c_ulong,
    pub internal: MaybeUninit<func_internal>,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct func_internal {
    old_func: *mut c_void,
    kobj: bindings::kobject,
    node: bindings::list_head,
    stack_node: bindings::list_head,
    old_size: c_ulong,
    new_size: c_ulong,
    nop: bool,
    patched: bool,
    transition: bool,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct klp_callbacks {
    pub pre_patch: Option<unsafe extern "C" fn(*mut klp_object) -> c_int>,
    pub post_patch: Option<unsafe extern "C" fn(*mut klp_object)>,
    pub pre_unpatch: Option<unsafe extern "C" fn(*mut klp_object)>,
    pub post_unpatch: Option<unsafe extern "C" fn(*mut klp_object)>,
    pub post_unpatch_enabled: bool,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct klp_object {
    pub name: *const c_char,
    pub funcs: *mut klp_func,
    pub callbacks: klp_callbacks,
    pub internal: MaybeUninit<object_internal>,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct object_internal {
    kobj: bindings::kobject,
    func_list: bindings::list_head,
    node: bindings::list_head,
    r#mod: *mut bindings::module,
    dynamic: bool,
    patched: bool,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct klp_state {
    pub id: c_ulong,
    pub version: c_uint,
    pub data: *mut c_void,
}

#[repr(C)]
pub struct klp_patch {
    pub r#mod: *mut bindings::module,
    pub objs: *mut klp_object,
    pub states: *mut klp_state,
    pub replace: bool,
    pub internal: MaybeUninit<patch_internal>,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct patch_internal {
    list: bindings::list_head,
    kobj: bindings::kobject,
    obj_list: bindings::list_head,
    enabled: bool,
    forced: bool,
    free_work: bindings::work_struct,
    finish: bindings::completion,
}

pub type klp_shadow_ctor_t =
    Option<unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_void) -> c_int>;
pub type klp_shadow_dtor_t = Option<unsafe extern "C" fn(*mut c_void, *mut c_void)>;

extern "C" {
    pub fn rlp_enable_patch(patch: *mut klp_patch) -> c_int;
    pub fn rlp_shadow_get(obj: *mut c_void, id: c_ulong) -> *mut c_void;
    pub fn rlp_shadow_get_or_alloc(
        obj: *mut c_void,
        id: c_ulong,
        size: usize,
        gfp_flags: bindings::gfp_t,
        ctor: klp_shadow_ctor_t,
        ctor_data: *mut c_void,
    ) -> *mut c_void;
    pub fn rlp_shadow_free(obj: *mut c_void, id: c_ulong, dtor: klp_shadow_dtor_t);
    pub fn rlp_shadow_free_all(id: c_ulong, dtor: klp_shadow_dtor_t);
    pub fn rlp_get_state(patch: *mut klp_patch, id: c_ulong) -> *mut klp_state;
    pub fn rlp_get_prev_state(id: c_ulong) -> *mut klp_state;
}

/// An array of `N - 1` entries and an empty entry that ends it. The loader may write to it.
///
/// # Invariants
///
/// The last entry is zeroed.
#[repr(transparent)]
pub struct Table<T, const N: usize>(Opaque<[MaybeUninit<T>; N]>);

// SAFETY: Only the loader accesses the contents, through raw pointers and under its locks.
unsafe impl<T, const N: usize> Sync for Table<T, N> {}

impl<T: Copy, const N: usize> Table<T, N> {
    /// Makes a table of `entries`, of which there must be `N - 1`.
    pub const fn new(entries: &[T]) -> Self {
        assert!(entries.len() + 1 == N);
        let mut table = [const { MaybeUninit::zeroed() }; N];
        let mut i = 0;
        while i < entries.len() {
            table[i] = MaybeUninit::new(entries[i]);
            i += 1;
        }
        // INVARIANT: The loop has not written to the last entry.
        Self(Opaque::new(table))
    }

    /// Returns a pointer to the first entry.
    pub const fn as_ptr(&'static self) -> *mut T {
        self.0.get().cast()
    }
}

/// Makes a C string of a string whose last byte, and no other, is NUL.
pub const fn c_string(name: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(name.as_bytes()) {
        Ok(name) => name,
        Err(_) => panic!("a name must not contain a NUL byte"),
    }
}
