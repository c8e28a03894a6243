// SPDX-License-Identifier: GPL-2.0

//! The functions that patch modules call for shadow variables.
//!
//! C source: [`kernel/livepatch/shadow.c`](srctree/kernel/livepatch/shadow.c)

use crate::side_table::{Fresh, Gfp, Key, Locked, Memory, Removed};
use core::{ffi::c_void, ptr};
use kernel::ffi::c_int;
use rlp_bindings::{klp_shadow_ctor_t, klp_shadow_dtor_t};

/// What a patch wants done to a new variable.
pub struct Constructor {
    call: klp_shadow_ctor_t,
    data: *mut c_void,
}

impl Constructor {
    /// # Safety
    ///
    /// `call` may be called with a variable of the size that it is to be used for, and `data`.
    #[doc(hidden)]
    pub unsafe fn from_raw(call: klp_shadow_ctor_t, data: *mut c_void) -> Self {
        Self { call, data }
    }

    /// Runs it under the lock, so that it runs once for each variable.
    ///
    /// # Errors
    ///
    /// The author's.
    pub fn run(&self, fresh: &mut Fresh, _lock: &Locked<'_>) -> Result<(), c_int> {
        let Some(call) = self.call else {
            return Ok(());
        };
        let object = fresh.key().object as *mut c_void;
        // SAFETY: By the contract of `from_raw()`; the memory is fresh, and of the author's size.
        match unsafe { call(object, fresh.memory().as_ptr(), self.data) } {
            0 => Ok(()),
            errno => Err(errno),
        }
    }
}

/// What a patch wants done to a variable that goes.
pub struct Destructor(klp_shadow_dtor_t);

impl Destructor {
    /// # Safety
    ///
    /// `call` may be called with any variable that its patch asks to free.
    #[doc(hidden)]
    pub unsafe fn from_raw(call: klp_shadow_dtor_t) -> Self {
        Self(call)
    }

    /// Runs it, and frees the variable.
    pub fn run(&self, mut removed: Removed) {
        if let Some(call) = self.0 {
            let object = removed.key().object as *mut c_void;
            // SAFETY: By the contract of `from_raw()`; the memory was taken out of the table.
            unsafe { call(object, removed.memory().as_ptr()) }
        }
    }
}

/// Says that `key` has a variable already. Context: any.
pub fn report_duplicate(key: Key) {
    // SAFETY: The address is printed, as `%p` prints it, and never followed.
    unsafe { rlp_bindings::rlp_shadow_report_duplicate(key.object as *mut c_void, key.id) }
}

/// Says that the constructor for `key` failed. Context: any.
pub fn report_failure(key: Key, errno: c_int) {
    // SAFETY: As above.
    unsafe { rlp_bindings::rlp_shadow_report_constructor(key.object as *mut c_void, key.id, errno) }
}

/// What a loader does for patch modules.
pub trait Shadows {
    /// `klp_shadow_get()`.
    fn get(key: Key) -> Option<Memory>;
    /// `klp_shadow_alloc()`.
    fn alloc(key: Key, size: usize, gfp: Gfp, constructor: Constructor) -> Option<Memory>;
    /// `klp_shadow_get_or_alloc()`.
    fn get_or_alloc(key: Key, size: usize, gfp: Gfp, constructor: Constructor) -> Option<Memory>;
    /// `klp_shadow_free()`.
    fn free(key: Key, destructor: Destructor);
    /// `klp_shadow_free_all()`.
    fn free_all(id: usize, destructor: Destructor);
}

/// For [`export_klp_shadow!`].
#[doc(hidden)]
pub fn pointer(memory: Option<Memory>) -> *mut c_void {
    memory.map_or(ptr::null_mut(), Memory::as_ptr)
}

/// Emits the functions that `rust/helpers/exports.c` exports, for the [`Shadows`] `$shadows`.
#[macro_export]
macro_rules! export_klp_shadow {
    ($shadows:ty) => {
        const _: () = {
            use ::core::ffi::c_void;
            use ::rlp_bindings::{klp_shadow_ctor_t, klp_shadow_dtor_t};
            use $crate::{
                klp_shadow::{pointer, Constructor, Destructor, Shadows},
                side_table::{Gfp, Key},
            };

            fn key(object: *mut c_void, id: usize) -> Key {
                let object = object as usize;
                Key { object, id }
            }

            #[no_mangle]
            extern "C" fn rlp_rust_shadow_get(object: *mut c_void, id: usize) -> *mut c_void {
                pointer(<$shadows>::get(key(object, id)))
            }

            /// # Safety
            ///
            /// `call` may be called with a new variable of `size` bytes, and `data`.
            #[no_mangle]
            unsafe extern "C" fn rlp_rust_shadow_alloc(
                object: *mut c_void,
                id: usize,
                size: usize,
                gfp: ::kernel::bindings::gfp_t,
                call: klp_shadow_ctor_t,
                data: *mut c_void,
            ) -> *mut c_void {
                // SAFETY: The contract of klp_shadow_alloc().
                let constructor = unsafe { Constructor::from_raw(call, data) };
                let gfp = Gfp::from_raw(gfp);
                pointer(<$shadows>::alloc(key(object, id), size, gfp, constructor))
            }

            /// # Safety
            ///
            /// As `rlp_rust_shadow_alloc()`.
            #[no_mangle]
            unsafe extern "C" fn rlp_rust_shadow_get_or_alloc(
                object: *mut c_void,
                id: usize,
                size: usize,
                gfp: ::kernel::bindings::gfp_t,
                call: klp_shadow_ctor_t,
                data: *mut c_void,
            ) -> *mut c_void {
                // SAFETY: The contract of klp_shadow_get_or_alloc().
                let constructor = unsafe { Constructor::from_raw(call, data) };
                let gfp = Gfp::from_raw(gfp);
                pointer(<$shadows>::get_or_alloc(
                    key(object, id),
                    size,
                    gfp,
                    constructor,
                ))
            }

            /// # Safety
            ///
            /// `call` may be called with the variable for `object` and `id`.
            #[no_mangle]
            unsafe extern "C" fn rlp_rust_shadow_free(
                object: *mut c_void,
                id: usize,
                call: klp_shadow_dtor_t,
            ) {
                // SAFETY: The contract of klp_shadow_free().
                <$shadows>::free(key(object, id), unsafe { Destructor::from_raw(call) })
            }

            /// # Safety
            ///
            /// `call` may be called with every variable for `id`.
            #[no_mangle]
            unsafe extern "C" fn rlp_rust_shadow_free_all(id: usize, call: klp_shadow_dtor_t) {
                // SAFETY: The contract of klp_shadow_free_all().
                <$shadows>::free_all(id, unsafe { Destructor::from_raw(call) })
            }
        };
    };
}
