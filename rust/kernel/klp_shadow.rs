// SPDX-License-Identifier: GPL-2.0

//! Shadow variables: the functions that patch modules call.
//!
//! C source: [`kernel/livepatch/shadow.c`](srctree/kernel/livepatch/shadow.c)

use crate::side_table::{
    self,
    Detached,
    Gfp,
    Key,
    Locked,
    Memory, //
};
use core::{
    ffi::c_void,
    marker::PhantomData,
    ptr, //
};
use kernel::ffi::c_int;
use rlp_bindings::{
    klp_shadow_ctor_t,
    klp_shadow_dtor_t, //
};

/// A patch's request for a new variable: its key, its size, and the author's constructor.
///
/// [`allocate`](Self::allocate) allocates memory of the size that the author gave. Then
/// [`NewVariable::construct`] runs the constructor on it, under the lock of the table. Each of the
/// two consumes its value, so the constructor can run only once.
///
/// # Examples
///
/// ```
/// use kernel_ext::{
///     klp_shadow::Constructor,
///     side_table::{
///         self,
///         Gfp,
///         Memory, //
///     }, //
/// };
///
/// fn alloc(gfp: Gfp, constructor: Constructor<'_>) -> Option<Memory> {
///     let key = constructor.key();
///     // This may sleep, so the table is locked afterwards.
///     let variable = constructor.allocate(gfp)?;
///     let mut table = side_table::lock();
///     if table.find(key).is_some() {
///         return None;
///     }
///     variable.construct(&mut table).ok()
/// }
/// ```
pub struct Constructor<'a> {
    key: Key,
    size: usize,
    call: klp_shadow_ctor_t,
    data: *mut c_void,
    /// The lifetime of the author's call, during which `data` is valid.
    _call: PhantomData<&'a mut c_void>,
}

impl Constructor<'_> {
    /// # Safety
    ///
    /// While the value lives, `call` may be called once with the object of `key`, a new variable of
    /// `size` bytes for `key`, and `data`.
    #[doc(hidden)]
    pub unsafe fn from_raw(
        key: Key,
        size: usize,
        call: klp_shadow_ctor_t,
        data: *mut c_void,
    ) -> Self {
        Self {
            key,
            size,
            call,
            data,
            _call: PhantomData,
        }
    }

    /// Returns the key of the requested variable.
    pub fn key(&self) -> Key {
        self.key
    }
}

impl<'a> Constructor<'a> {
    /// Allocates the memory of the variable. Returns `None` if there is no memory.
    ///
    /// # Context
    ///
    /// The context that `gfp` requires.
    pub fn allocate(self, gfp: Gfp) -> Option<NewVariable<'a>> {
        let memory = Detached::new(self.key, self.size, gfp)?;
        Some(NewVariable {
            memory,
            constructor: self,
        })
    }
}

/// Memory for a variable, before its constructor has run. Dropping it frees the memory.
pub struct NewVariable<'a> {
    memory: Detached,
    constructor: Constructor<'a>,
}

impl NewVariable<'_> {
    /// Runs the constructor, and adds the variable to the table.
    ///
    /// The caller has locked the table, and has found no variable for the key. The table stays
    /// locked until the variable is added, so that one constructor runs for each variable.
    ///
    /// # Errors
    ///
    /// The error of the constructor. The memory is freed.
    pub fn construct(mut self, table: &mut Locked) -> Result<Memory, c_int> {
        if let Some(call) = self.constructor.call {
            let object = self.constructor.key.object as *mut c_void;
            let memory = self.memory.memory().as_ptr();
            // SAFETY: By the contract of `from_raw()`: the memory is new, of the requested size,
            // and this consumes the constructor.
            match unsafe { call(object, memory, self.constructor.data) } {
                0 => {}
                errno => return Err(errno),
            }
        }
        Ok(table.add(self.memory))
    }
}

/// A patch's request to free the variable of one key, or all variables of one number, with the
/// author's destructor.
pub struct Destructor<'a> {
    scope: Scope,
    call: klp_shadow_dtor_t,
    /// The lifetime of the author's call, during which the author's module stays loaded.
    _call: PhantomData<&'a mut c_void>,
}

enum Scope {
    Key(Key),
    Id(usize),
}

impl Destructor<'_> {
    /// # Safety
    ///
    /// While the value lives, `call` may be called with the object of `key` and the variable for
    /// `key`.
    #[doc(hidden)]
    pub unsafe fn of_key(key: Key, call: klp_shadow_dtor_t) -> Self {
        Self {
            scope: Scope::Key(key),
            call,
            _call: PhantomData,
        }
    }

    /// # Safety
    ///
    /// While the value lives, `call` may be called with the variable of number `id` of each object,
    /// and that object.
    #[doc(hidden)]
    pub unsafe fn of_id(id: usize, call: klp_shadow_dtor_t) -> Self {
        Self {
            scope: Scope::Id(id),
            call,
            _call: PhantomData,
        }
    }

    /// Removes the variables from the table, runs the destructor on each under the lock of the
    /// table, and frees them a grace period later.
    ///
    /// # Context
    ///
    /// As [`side_table::lock`].
    pub fn run(self) {
        let free = |mut removed: side_table::Removed| {
            if let Some(call) = self.call {
                let object = removed.key().object as *mut c_void;
                // SAFETY: By the contract of `of_key()` or `of_id()`; the memory was removed from
                // the table, so no other destructor runs on it.
                unsafe { call(object, removed.memory().as_ptr()) }
            }
        };
        let mut table = side_table::lock();
        match self.scope {
            Scope::Key(key) => table.remove(key, free),
            Scope::Id(id) => table.remove_all(|key| key.id == id, free),
        }
    }
}

/// Frees all variables, without their destructors.
///
/// # Context
///
/// As [`side_table::lock`].
///
/// # Safety
///
/// No patch module is loaded. The functions of a loaded patch module could still use the variables;
/// the destructors were unloaded with the modules.
pub unsafe fn free_remaining() {
    side_table::lock().remove_all(|_| true, drop);
}

/// Logs that `key` has a variable already.
///
/// # Context
///
/// Any.
pub fn report_duplicate(key: Key) {
    // SAFETY: The address is printed with `%p`, and never followed.
    unsafe { rlp_bindings::rlp_shadow_report_duplicate(key.object as *mut c_void, key.id) }
}

/// Logs that the constructor for `key` failed.
///
/// # Context
///
/// Any.
pub fn report_failure(key: Key, errno: c_int) {
    // SAFETY: As in `report_duplicate()`.
    unsafe { rlp_bindings::rlp_shadow_report_constructor(key.object as *mut c_void, key.id, errno) }
}

/// A loader's implementation of the functions for patch modules.
pub trait Shadows {
    /// Implements `klp_shadow_get()`.
    fn get(key: Key) -> Option<Memory>;
    /// Implements `klp_shadow_alloc()`.
    fn alloc(gfp: Gfp, constructor: Constructor<'_>) -> Option<Memory>;
    /// Implements `klp_shadow_get_or_alloc()`.
    fn get_or_alloc(gfp: Gfp, constructor: Constructor<'_>) -> Option<Memory>;
    /// Implements `klp_shadow_free()`.
    fn free(destructor: Destructor<'_>);
    /// Implements `klp_shadow_free_all()`.
    fn free_all(destructor: Destructor<'_>);
}

/// For [`export_klp_shadow!`].
#[doc(hidden)]
pub fn pointer(memory: Option<Memory>) -> *mut c_void {
    memory.map_or(ptr::null_mut(), Memory::as_ptr)
}

/// Emits the functions that `rust/helpers/exports.c` calls, for the [`Shadows`] `$shadows`.
#[macro_export]
macro_rules! export_klp_shadow {
    ($shadows:ty) => {
        const _: () = {
            use ::core::ffi::c_void;
            use ::rlp_bindings::{
                klp_shadow_ctor_t,
                klp_shadow_dtor_t, //
            };
            use $crate::{
                klp_shadow::{
                    pointer,
                    Constructor,
                    Destructor,
                    Shadows, //
                },
                side_table::{
                    Gfp,
                    Key, //
                }, //
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
            /// During this call, `call` may be called once with `object`, a new variable of `size`
            /// bytes, and `data`.
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
                let constructor =
                    unsafe { Constructor::from_raw(key(object, id), size, call, data) };
                pointer(<$shadows>::alloc(Gfp::from_raw(gfp), constructor))
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
                let constructor =
                    unsafe { Constructor::from_raw(key(object, id), size, call, data) };
                pointer(<$shadows>::get_or_alloc(Gfp::from_raw(gfp), constructor))
            }

            /// # Safety
            ///
            /// During this call, `call` may be called with `object` and the variable for `object`
            /// and `id`.
            #[no_mangle]
            unsafe extern "C" fn rlp_rust_shadow_free(
                object: *mut c_void,
                id: usize,
                call: klp_shadow_dtor_t,
            ) {
                // SAFETY: The contract of klp_shadow_free().
                <$shadows>::free(unsafe { Destructor::of_key(key(object, id), call) })
            }

            /// # Safety
            ///
            /// During this call, `call` may be called with every variable for `id`, and its object.
            #[no_mangle]
            unsafe extern "C" fn rlp_rust_shadow_free_all(id: usize, call: klp_shadow_dtor_t) {
                // SAFETY: The contract of klp_shadow_free_all().
                <$shadows>::free_all(unsafe { Destructor::of_id(id, call) })
            }
        };
    };
}
