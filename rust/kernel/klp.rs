// SPDX-License-Identifier: GPL-2.0

//! The structures that patch modules describe themselves with, and the functions they call.
//!
//! C header: [`include/linux/livepatch.h`](srctree/include/linux/livepatch.h)

use crate::module::{Module, Seen};
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    ffi::c_char,
    prelude::*,
    str::CStr, //
};
use rlp_bindings::{klp_func, klp_object, klp_patch, klp_state};

/// A patch as its module describes it.
///
/// # Invariants
///
/// The structures live in a module that stays loaded while this exists, as the contract of
/// `klp_enable_patch()` says, and its arrays are terminated.
#[derive(Clone, Copy)]
pub struct PatchDesc(NonNull<klp_patch>);

// SAFETY: The structures are the loader's once the patch is enabled; it locks.
unsafe impl Send for PatchDesc {}
// SAFETY: Its methods read members that do not change after the patch was enabled.
unsafe impl Sync for PatchDesc {}

impl PatchDesc {
    /// # Safety
    ///
    /// As the type invariant says, until the loader drops its reference to the patch's module.
    #[doc(hidden)]
    pub unsafe fn from_raw(patch: *mut klp_patch) -> Option<Self> {
        NonNull::new(patch).map(Self)
    }

    fn raw(&self) -> &klp_patch {
        // SAFETY: By the type invariant.
        unsafe { self.0.as_ref() }
    }

    /// Which module this is; `None` if the author left it out.
    pub fn module(&self) -> Option<Module<'_>> {
        // SAFETY: By the type invariant the module is there.
        unsafe { Module::from_raw(self.raw().mod_) }
    }

    /// Whether it replaces all that came before.
    pub fn replaces(&self) -> bool {
        self.raw().replace
    }

    /// Its objects; `None` where there is no array.
    pub fn objects(&self) -> Option<impl Iterator<Item = ObjectDesc>> {
        let mut next = NonNull::new(self.raw().objs)?;
        Some(core::iter::from_fn(move || {
            let object = ObjectDesc(next);
            let raw = object.raw();
            if raw.name.is_null() && raw.funcs.is_null() {
                return None;
            }
            // SAFETY: Not the last, by the type invariant.
            next = unsafe { next.add(1) };
            Some(object)
        }))
    }

    /// The states it changes, as pairs of id and version.
    pub fn states(&self) -> impl Iterator<Item = (usize, u32)> {
        self.raw_states().map(|state| {
            // SAFETY: Points into the array. The author may be writing to the entry's data.
            unsafe { ((*state.as_ptr()).id, (*state.as_ptr()).version) }
        })
    }

    fn raw_states(&self) -> impl Iterator<Item = NonNull<klp_state>> {
        let mut next = NonNull::new(self.raw().states);
        core::iter::from_fn(move || {
            let state = next?;
            // SAFETY: Points into the array, which an id of 0 ends.
            unsafe {
                if (*state.as_ptr()).id == 0 {
                    return None;
                }
                next = Some(state.add(1));
            }
            Some(state)
        })
    }

    /// The entry for state `id`, for its author.
    pub fn state(&self, id: usize) -> Option<StatePtr> {
        self.raw_states()
            // SAFETY: Points into the array.
            .find(|state| unsafe { (*state.as_ptr()).id } == id)
            .map(StatePtr)
    }

    /// Whether this is the structure at `patch`.
    pub fn is(&self, other: &PatchDesc) -> bool {
        self.0 == other.0
    }
}

/// A state's entry in its patch's array: handed to the author, never followed.
pub struct StatePtr(NonNull<klp_state>);

impl StatePtr {
    /// The C pointer.
    pub fn as_ptr(&self) -> *mut klp_state {
        self.0.as_ptr()
    }
}

/// An object as its patch describes it. Lives as long as its [`PatchDesc`].
#[derive(Clone, Copy)]
pub struct ObjectDesc(NonNull<klp_object>);

// SAFETY: As for `PatchDesc`.
unsafe impl Send for ObjectDesc {}

impl ObjectDesc {
    fn raw(&self) -> &klp_object {
        // SAFETY: Part of a patch, see `PatchDesc`.
        unsafe { self.0.as_ref() }
    }

    /// The module's name, or `None` for vmlinux.
    pub fn name(&self) -> Option<&CStr> {
        // SAFETY: Null or a terminated string of the patch's module.
        unsafe { terminated(self.raw().name) }
    }

    /// Its functions; `None` where there is no array.
    pub fn funcs(&self) -> Option<impl Iterator<Item = FuncDesc>> {
        let mut next = NonNull::new(self.raw().funcs)?;
        Some(core::iter::from_fn(move || {
            let func = FuncDesc(next);
            let raw = func.raw();
            if raw.old_name.is_null() && raw.new_func.is_null() && raw.old_sympos == 0 {
                return None;
            }
            // SAFETY: Not the last, by the invariant of `PatchDesc`.
            next = unsafe { next.add(1) };
            Some(func)
        }))
    }

    /// Tells the author's callbacks which module the object is now; `None` when it is gone.
    pub fn set_module(&self, module: Option<Module<'_>>) {
        let module = module.map_or(core::ptr::null_mut(), Module::as_ptr);
        // SAFETY: The member is the loader's, which has its lock.
        unsafe { (*self.0.as_ptr()).mod_ = module }
    }

    /// As [`set_module`](Self::set_module), to a module that the caller knows to stay.
    pub fn set_seen(&self, module: &Seen) {
        // SAFETY: The member is the loader's, which has its lock.
        unsafe { (*self.0.as_ptr()).mod_ = module.module }
    }

    /// Before the object is patched. The author's error stops the patch.
    ///
    /// Context of all callbacks: process context, the loader's lock held.
    pub fn pre_patch(&self) -> Result {
        let ret = match self.raw().callbacks.pre_patch {
            // SAFETY: The author's function, of this type, in a module that stays.
            Some(call) => to_result(unsafe { call(self.0.as_ptr()) }),
            None => Ok(()),
        };
        // SAFETY: The member is the loader's.
        unsafe { (*self.0.as_ptr()).callbacks.post_unpatch_enabled = ret.is_ok() };
        ret
    }

    /// After the object was patched, and every task uses the new code.
    pub fn post_patch(&self) {
        if let Some(call) = self.raw().callbacks.post_patch {
            // SAFETY: As in `pre_patch()`.
            unsafe { call(self.0.as_ptr()) }
        }
    }

    /// Before the object is unpatched.
    pub fn pre_unpatch(&self) {
        if let Some(call) = self.raw().callbacks.pre_unpatch {
            // SAFETY: As in `pre_patch()`.
            unsafe { call(self.0.as_ptr()) }
        }
    }

    /// After the object was unpatched, if `pre_patch` had been called and succeeded.
    pub fn post_unpatch(&self) {
        let callbacks = &self.raw().callbacks;
        if let (true, Some(call)) = (callbacks.post_unpatch_enabled, callbacks.post_unpatch) {
            // SAFETY: As in `pre_patch()`.
            unsafe { call(self.0.as_ptr()) }
        }
        // SAFETY: The member is the loader's.
        unsafe { (*self.0.as_ptr()).callbacks.post_unpatch_enabled = false };
    }
}

/// A function as its patch describes it. Lives as long as its [`PatchDesc`].
pub struct FuncDesc(NonNull<klp_func>);

impl FuncDesc {
    fn raw(&self) -> &klp_func {
        // SAFETY: Part of a patch, see `PatchDesc`.
        unsafe { self.0.as_ref() }
    }

    /// The name of the function to be replaced.
    pub fn name(&self) -> Option<&CStr> {
        // SAFETY: Null or a terminated string of the patch's module.
        unsafe { terminated(self.raw().old_name) }
    }

    /// The address of the replacement; 0 if the author left it out.
    pub fn replacement(&self) -> usize {
        self.raw().new_func as usize
    }

    /// Which of several symbols of that name, counted from 1; 0 if there is one alone.
    pub fn sympos(&self) -> usize {
        self.raw().old_sympos
    }
}

/// # Safety
///
/// `s` is null, or a terminated string that outlives `'a`.
unsafe fn terminated<'a>(s: *const c_char) -> Option<&'a CStr> {
    // SAFETY: By the contract.
    (!s.is_null()).then(|| unsafe { CStr::from_char_ptr(s) })
}

/// What a loader does for patch modules.
pub trait Loader {
    /// `klp_enable_patch()`.
    fn enable(patch: PatchDesc) -> Result;
    /// `klp_get_prev_state()`: the newest entry for `id` of the enabled patches.
    fn prev_state(id: usize) -> Option<StatePtr>;
}

/// Emits the functions that `rust/helpers/exports.c` exports, for the [`Loader`] `$loader`.
#[macro_export]
macro_rules! export_klp {
    ($loader:ty) => {
        /// Called by a patch module's init, through the exported wrapper.
        ///
        /// # Safety
        ///
        /// The contract of klp_enable_patch(): the structures are those of the calling module, and
        /// arrays and strings in them are terminated.
        #[no_mangle]
        unsafe extern "C" fn rlp_rust_enable_patch(
            patch: *mut ::rlp_bindings::klp_patch,
        ) -> ::kernel::ffi::c_int {
            ::kernel::error::from_result(|| {
                // SAFETY: The contract of klp_enable_patch().
                let Some(patch) = (unsafe { $crate::klp::PatchDesc::from_raw(patch) }) else {
                    ::kernel::pr_err!("klp_enable_patch() was given no patch\n");
                    return Err(::kernel::error::code::EINVAL);
                };
                <$loader as $crate::klp::Loader>::enable(patch)?;
                Ok(0)
            })
        }

        #[no_mangle]
        extern "C" fn rlp_rust_get_prev_state(id: usize) -> *mut ::rlp_bindings::klp_state {
            <$loader as $crate::klp::Loader>::prev_state(id)
                .map_or(::core::ptr::null_mut(), |state| state.as_ptr())
        }

        /// # Safety
        ///
        /// `patch` is the caller's own, or null.
        #[no_mangle]
        unsafe extern "C" fn rlp_rust_get_state(
            patch: *mut ::rlp_bindings::klp_patch,
            id: usize,
        ) -> *mut ::rlp_bindings::klp_state {
            // SAFETY: The caller's own patch.
            unsafe { $crate::klp::PatchDesc::from_raw(patch) }
                .and_then(|patch| patch.state(id))
                .map_or(::core::ptr::null_mut(), |state| state.as_ptr())
        }
    };
}
