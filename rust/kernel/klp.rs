// SPDX-License-Identifier: GPL-2.0

//! The structures that patch modules describe themselves with, and the functions they call.
//!
//! C header: [`include/linux/livepatch.h`](srctree/include/linux/livepatch.h)

use crate::{
    klp_check,
    module::{Module, Seen},
};
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
/// Its structures, arrays and names can be read, and the arrays and names have an end: all were
/// followed once. They are in the hands of a module that stays loaded while this exists and leaves
/// them as they are, as the contract of `klp_enable_patch()` says.
#[derive(Clone, Copy)]
pub struct PatchDesc(NonNull<klp_patch>);

// SAFETY: The structures are the loader's once the patch is enabled; it locks.
unsafe impl Send for PatchDesc {}
// SAFETY: Its methods read members that do not change after the patch was enabled.
unsafe impl Sync for PatchDesc {}

impl PatchDesc {
    /// Follows what `patch`, which may be any address, says of itself.
    ///
    /// Context: may sleep.
    ///
    /// # Errors
    ///
    /// `EFAULT` or `EINVAL`, with a line in the log, for what cannot be read or has no end.
    ///
    /// # Safety
    ///
    /// The patch's module stays for the call, and whoever has it in hand leaves what was read as it
    /// is until the loader drops its reference to that module.
    #[doc(hidden)]
    pub unsafe fn checked(patch: *mut klp_patch) -> Result<Self> {
        // SAFETY: By the contract.
        unsafe { klp_check::check(patch) }?;
        // INVARIANT: Just seen; the rest is the caller's word.
        NonNull::new(patch).map(Self).ok_or(EFAULT)
    }

    fn raw(&self) -> &klp_patch {
        // SAFETY: By the type invariant.
        unsafe { self.0.as_ref() }
    }

    /// Which module this is.
    pub fn module(&self) -> Module<'_> {
        // SAFETY: By the type invariant it is loaded, and stays.
        unsafe { Module::of(self.raw().mod_) }
    }

    /// Whether it replaces all that came before.
    pub fn replaces(&self) -> bool {
        // SAFETY: By the type invariant. In C any value but 0 is true.
        unsafe { (&raw const (*self.0.as_ptr()).replace).cast::<u8>().read() != 0 }
    }

    /// Its objects; `None` where there is no array.
    pub fn objects(&self) -> Option<impl Iterator<Item = ObjectDesc>> {
        let mut next = NonNull::new(self.raw().objs)?;
        Some(core::iter::from_fn(move || {
            let object = ObjectDesc(next);
            // SAFETY: Part of the array, by the invariant of `PatchDesc`.
            if unsafe { ObjectDesc::is_end(next) } {
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
        // SAFETY: By the type invariant.
        unsafe { states_at(self.raw().states) }
    }

    /// The entry for state `id`, for its author.
    pub fn state(&self, id: usize) -> Option<StatePtr> {
        // SAFETY: By the type invariant.
        unsafe { Self::state_at(self.raw().states, id) }
    }

    /// As [`state`](Self::state), in the array at `first`, of a patch that the loader may not know.
    ///
    /// # Safety
    ///
    /// `first` is null, or an array that has an end.
    #[doc(hidden)]
    pub unsafe fn state_at(first: *mut klp_state, id: usize) -> Option<StatePtr> {
        // SAFETY: By the contract.
        unsafe { states_at(first) }
            // SAFETY: Points into the array.
            .find(|state| unsafe { (*state.as_ptr()).id } == id)
            .map(StatePtr)
    }
}

/// # Safety
///
/// `first` is null, or an array that has an end.
unsafe fn states_at(first: *mut klp_state) -> impl Iterator<Item = NonNull<klp_state>> {
    let mut next = NonNull::new(first);
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
    /// Whether that is what ends an array of objects.
    ///
    /// # Safety
    ///
    /// It can be read.
    pub(crate) unsafe fn is_end(object: NonNull<klp_object>) -> bool {
        // SAFETY: By the contract.
        unsafe { (*object.as_ptr()).name.is_null() && (*object.as_ptr()).funcs.is_null() }
    }

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
            // SAFETY: Part of the array, by the invariant of `PatchDesc`.
            if unsafe { FuncDesc::is_end(next) } {
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

    /// Before the object is patched. The author's error stops the patch; `EINVAL` stands for what
    /// is not 0 and no error.
    ///
    /// Context of all callbacks: process context, the loader's lock held.
    pub fn pre_patch(&self) -> Result {
        let ret = match self.raw().callbacks.pre_patch {
            // SAFETY: The author's function, of this type, in a module that stays.
            Some(call) => match unsafe { call(self.0.as_ptr()) } {
                1.. => Err(EINVAL),
                ret => to_result(ret),
            },
            None => Ok(()),
        };
        // SAFETY: The member is the loader's.
        unsafe { (*self.0.as_ptr()).callbacks.post_unpatch_enabled = ret.is_ok() };
        ret
    }

    /// Its patch has left: what `pre_patch` has said is of no meaning any more. Nobody has called
    /// `post_unpatch` if another patch replaced it.
    pub fn forget_pre_patch(&self) {
        // SAFETY: The member is the loader's.
        unsafe { (*self.0.as_ptr()).callbacks.post_unpatch_enabled = false };
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
        self.forget_pre_patch();
    }
}

/// A function as its patch describes it. Lives as long as its [`PatchDesc`].
pub struct FuncDesc(NonNull<klp_func>);

impl FuncDesc {
    /// Whether that is what ends an array of functions.
    ///
    /// # Safety
    ///
    /// It can be read.
    pub(crate) unsafe fn is_end(func: NonNull<klp_func>) -> bool {
        // SAFETY: By the contract.
        let (name, replacement, position) = unsafe {
            let func = func.as_ptr();
            ((*func).old_name, (*func).new_func, (*func).old_sympos)
        };
        name.is_null() && replacement.is_null() && position == 0
    }

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
    /// `klp_get_prev_state()`: the newest entry for `id` of the patches below the one that
    /// moves; none if none moves.
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
        /// The contract of klp_enable_patch(): what the structures refer to stays as it is.
        #[no_mangle]
        unsafe extern "C" fn rlp_rust_enable_patch(
            patch: *mut ::rlp_bindings::klp_patch,
        ) -> ::kernel::ffi::c_int {
            ::kernel::error::from_result(|| {
                // SAFETY: The contract of klp_enable_patch().
                let patch = unsafe { $crate::klp::PatchDesc::checked(patch) }?;
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
        /// `patch` is the caller's own, whose array of states has an end, or null.
        #[no_mangle]
        unsafe extern "C" fn rlp_rust_get_state(
            patch: *mut ::rlp_bindings::klp_patch,
            id: usize,
        ) -> *mut ::rlp_bindings::klp_state {
            if patch.is_null() {
                return ::core::ptr::null_mut();
            }
            // SAFETY: The caller's own patch.
            unsafe { $crate::klp::PatchDesc::state_at((*patch).states, id) }
                .map_or(::core::ptr::null_mut(), |state| state.as_ptr())
        }
    };
}
