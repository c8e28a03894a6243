// SPDX-License-Identifier: GPL-2.0

//! The structures with which patch modules describe a patch, and the functions that they call.
//!
//! C header: [`include/linux/livepatch.h`](srctree/include/linux/livepatch.h)

use crate::{
    atomic::{
        AtomicBool,
        Ordering, //
    },
    klp_check,
    module::{
        FoundModule,
        Module,
        ModuleRef, //
    }, //
};
use core::{
    cell::Cell,
    marker::PhantomData,
    ptr::{
        null_mut,
        NonNull, //
    }, //
};
use kernel::{
    error::to_result,
    ffi::c_char,
    prelude::*,
    str::CStr,
    sync::Arc, //
};
use rlp_bindings::{
    klp_func,
    klp_object,
    klp_patch,
    klp_state, //
};

/// The description of a patch in its module. All clones share one reference to the module.
#[derive(Clone)]
pub struct PatchDesc(Arc<Described>);

/// # Invariants
///
/// [`klp_check::check`] has read the whole description of `patch`. So its structures, arrays and
/// names can be read, and the arrays and names have an end. They belong to `module`, which leaves
/// them as they are while it is loaded, by the contract of `klp_enable_patch()`.
struct Described {
    patch: NonNull<klp_patch>,
    module: ModuleRef,
}

// SAFETY: The reference to the module keeps the structures, whichever thread uses them. Members
// that change are only accessed with a `CallbackToken`, and no reference to a whole structure is
// made.
unsafe impl Send for Described {}
// SAFETY: As for `Send`.
unsafe impl Sync for Described {}

impl PatchDesc {
    /// Reads the whole description of `patch`, which may be any address, and gets a reference to
    /// its module.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `EFAULT` or `EINVAL`, with a line in the log, if a part cannot be read or has no end;
    /// `ENODEV` if the module is being unloaded; `ENOMEM` with a line in the log.
    ///
    /// # Safety
    ///
    /// - The patch's module stays loaded for the call.
    /// - The structures, arrays and names stay as they are while the returned value, or an
    ///   [`ObjectDesc`] of it, lives.
    /// - Each callback may be called with its object, by one thread at a time.
    #[doc(hidden)]
    pub unsafe fn checked(patch: *mut klp_patch) -> Result<Self> {
        // SAFETY: By the contract.
        let module = unsafe { klp_check::check(patch) }?;
        // INVARIANT: All of the description was read above; the rest is the contract.
        let described = Described {
            patch: NonNull::new(patch).ok_or(EFAULT)?,
            module: module.get()?,
        };
        let described = Arc::new(described, GFP_KERNEL).inspect_err(|_| {
            pr_err!(
                "patch '{}' cannot be enabled: out of memory\n",
                module.name()
            );
        })?;
        Ok(Self(described))
    }

    /// Returns the address of the structure, not a reference: the lists in the structure change.
    fn raw(&self) -> *mut klp_patch {
        self.0.patch.as_ptr()
    }

    /// Returns the module that has the patch's structures and code. `self` holds a reference to it.
    pub fn module(&self) -> Module<'_> {
        self.0.module.module()
    }

    /// Keeps the patch's module loaded for ever.
    pub fn pin(&self) {
        self.0.module.pin();
    }

    /// Whether the patch replaces all patches that were enabled before it.
    pub fn replaces(&self) -> bool {
        // SAFETY: By the invariant of `Described`. In C any value but 0 is true.
        unsafe { (&raw const (*self.raw()).replace).cast::<u8>().read() != 0 }
    }

    /// Puts the objects and functions on the lists that the author's callbacks may walk.
    ///
    /// Called when the patch is not enabled yet, so none of its callbacks runs.
    ///
    /// # Context
    ///
    /// Any. The lock that protects the token is held.
    pub fn make_lists(&self, _token: &CallbackToken) {
        // SAFETY: By the invariant of `Described`. The token excludes callbacks, and other changes
        // of the lists.
        unsafe { rlp_bindings::rlp_klp_make_lists(self.raw()) };
    }

    /// Empties the lists, so that they can be [made](Self::make_lists) again. Called when no
    /// callback of the patch is called any more.
    ///
    /// # Context
    ///
    /// As for [`make_lists`](Self::make_lists).
    pub fn empty_lists(&self, _token: &CallbackToken) {
        // SAFETY: As for `make_lists()`.
        unsafe { rlp_bindings::rlp_klp_empty_lists(self.raw()) };
    }

    /// Returns the patch's objects, or `None` if there is no array.
    pub fn objects(&self) -> Option<impl Iterator<Item = ObjectDesc> + use<'_>> {
        // SAFETY: By the invariant of `Described`.
        let mut next = NonNull::new(unsafe { (*self.raw()).objs })?;
        Some(core::iter::from_fn(move || {
            let object = next;
            // SAFETY: Part of the array, by the invariant of `Described`.
            if unsafe { ObjectDesc::is_end(object) } {
                return None;
            }
            // SAFETY: Not the last, by the invariant of `Described`.
            next = unsafe { next.add(1) };
            // INVARIANT: The entry is part of the array.
            Some(ObjectDesc {
                object,
                _patch: self.clone(),
            })
        }))
    }

    /// Returns the states that the patch changes, as pairs of id and version.
    pub fn states(&self) -> impl Iterator<Item = (usize, u32)> + use<'_> {
        self.raw_states().map(|state| {
            // SAFETY: The pointer is to an entry of the array. The author may write to the member
            // `data` meanwhile, but that is not read.
            unsafe { ((*state.as_ptr()).id, (*state.as_ptr()).version) }
        })
    }

    fn raw_states(&self) -> impl Iterator<Item = NonNull<klp_state>> + use<'_> {
        // SAFETY: By the invariant of `Described`.
        unsafe { states_at((*self.raw()).states) }
    }

    /// Returns the entry for state `id`, for its author.
    pub fn state(&self, id: usize) -> Option<StatePtr> {
        // SAFETY: By the invariant of `Described`.
        unsafe { Self::state_at((*self.raw()).states, id) }
    }

    /// As [`state`](Self::state), for the array at `first` of a patch that need not be enabled.
    ///
    /// # Safety
    ///
    /// `first` is null, or an array that has an end.
    #[doc(hidden)]
    pub unsafe fn state_at(first: *mut klp_state, id: usize) -> Option<StatePtr> {
        // SAFETY: By the contract.
        unsafe { states_at(first) }
            // SAFETY: The pointer is to an entry of the array.
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
        // SAFETY: The pointer is to an entry of the array, which an entry with id 0 ends.
        unsafe {
            if (*state.as_ptr()).id == 0 {
                return None;
            }
            next = Some(state.add(1));
        }
        Some(state)
    })
}

/// The entry of a state in the array of its patch: passed to the author, and never followed here.
pub struct StatePtr(NonNull<klp_state>);

impl StatePtr {
    /// Returns the pointer that the author's code gets. The entry is in the memory of its patch's
    /// module.
    pub fn as_ptr(&self) -> *mut klp_state {
        self.0.as_ptr()
    }
}

/// The right to call the callbacks of patches, and to change the members that callbacks read.
///
/// There is one token. It is `Send` and not `Sync`, so a reference to it is the proof that no other
/// thread calls a callback. The lock that serialises patching should protect it.
pub struct CallbackToken(PhantomData<Cell<()>>);

/// Set by the first call of [`CallbackToken::claim`], and never cleared.
static CLAIMED: AtomicBool = AtomicBool::new(false);

impl CallbackToken {
    /// Returns the token.
    ///
    /// # Errors
    ///
    /// `EBUSY` if this was called before.
    pub fn claim() -> Result<Self> {
        // ORDERING: Relaxed. The partner is this line in other threads. Only the swap itself must
        // be atomic: exactly one caller reads false.
        if CLAIMED.swap(true, Ordering::Relaxed) {
            return Err(EBUSY);
        }
        Ok(Self(PhantomData))
    }
}

/// The description of an object in a patch, which shares the reference to the patch's module.
///
/// # Invariants
///
/// `object` is an entry of the array of objects of `_patch`. Its `mod_` and its
/// `post_unpatch_enabled` are only accessed with the [`CallbackToken`].
#[derive(Clone)]
pub struct ObjectDesc {
    object: NonNull<klp_object>,
    _patch: PatchDesc,
}

// SAFETY: As for `Described`.
unsafe impl Send for ObjectDesc {}

impl ObjectDesc {
    /// Whether `object` is the entry that ends an array of objects.
    ///
    /// # Safety
    ///
    /// `object` can be read.
    pub(crate) unsafe fn is_end(object: NonNull<klp_object>) -> bool {
        // SAFETY: By the contract.
        unsafe { (*object.as_ptr()).name.is_null() && (*object.as_ptr()).funcs.is_null() }
    }

    /// Returns the name of the object's module, or `None` for vmlinux.
    pub fn name(&self) -> Option<&CStr> {
        // SAFETY: By the type invariant; null or a terminated string of the patch's module.
        unsafe { terminated((*self.object.as_ptr()).name) }
    }

    /// Returns the object's functions, or `None` if there is no array.
    pub fn funcs(&self) -> Option<impl Iterator<Item = FuncDesc<'_>>> {
        // SAFETY: By the type invariant.
        let mut next = NonNull::new(unsafe { (*self.object.as_ptr()).funcs })?;
        Some(core::iter::from_fn(move || {
            let func = FuncDesc(next, PhantomData);
            // SAFETY: Part of the array, by the invariant of `Described`.
            if unsafe { FuncDesc::is_end(next) } {
                return None;
            }
            // SAFETY: Not the last, by the invariant of `Described`.
            next = unsafe { next.add(1) };
            Some(func)
        }))
    }

    /// Stores a pointer to the object's module, for the author's callbacks.
    ///
    /// # Safety
    ///
    /// Once the module is freed, no callback of the object is called until
    /// [`clear_module`](Self::clear_module) has been called.
    pub unsafe fn set_module(&self, module: Module<'_>, _token: &CallbackToken) {
        // SAFETY: By the type invariant; the token excludes other accesses.
        unsafe { (*self.object.as_ptr()).mod_ = module.as_ptr() }
    }

    /// As [`set_module`](Self::set_module), for a module that was found by its name.
    ///
    /// # Safety
    ///
    /// As for [`set_module`](Self::set_module); and the module has not been freed since it was
    /// found.
    pub unsafe fn set_found_module(&self, module: &FoundModule, _token: &CallbackToken) {
        // SAFETY: By the type invariant; the token excludes other accesses.
        unsafe { (*self.object.as_ptr()).mod_ = module.module }
    }

    /// Stores a NULL pointer to the object's module: it is not loaded.
    pub fn clear_module(&self, _token: &CallbackToken) {
        // SAFETY: By the type invariant; the token excludes other accesses.
        unsafe { (*self.object.as_ptr()).mod_ = null_mut() }
    }

    fn set_post_unpatch(&self, enabled: bool, _token: &CallbackToken) {
        // SAFETY: By the type invariant; the token excludes other accesses.
        unsafe { (*self.object.as_ptr()).callbacks.post_unpatch_enabled = enabled };
    }

    /// Calls the author's `pre_patch`, before the object is patched.
    ///
    /// # Context
    ///
    /// As for all callbacks: process context, may sleep. The lock that protects the token is held.
    ///
    /// # Errors
    ///
    /// The author's error, which must stop the patch; `EINVAL` for a positive value.
    pub fn pre_patch(&self, token: &CallbackToken) -> Result {
        // SAFETY: By the type invariant.
        let result = match unsafe { (*self.object.as_ptr()).callbacks.pre_patch } {
            // SAFETY: The author's function, of this type, in a module that `self` keeps; the token
            // excludes other callbacks.
            Some(call) => match unsafe { call(self.object.as_ptr()) } {
                1.. => Err(EINVAL),
                ret => to_result(ret),
            },
            None => Ok(()),
        };
        self.set_post_unpatch(result.is_ok(), token);
        result
    }

    /// Forgets the result of `pre_patch`, for a patch that is retired. `post_unpatch` forgets the
    /// result as well, but is not called for a patch that another patch has replaced.
    pub fn forget_pre_patch(&self, token: &CallbackToken) {
        self.set_post_unpatch(false, token);
    }

    /// Calls the author's `post_patch`, after the object was patched and every task uses the new
    /// code.
    ///
    /// # Context
    ///
    /// As for [`pre_patch`](Self::pre_patch).
    pub fn post_patch(&self, _token: &CallbackToken) {
        // SAFETY: By the type invariant.
        if let Some(call) = unsafe { (*self.object.as_ptr()).callbacks.post_patch } {
            // SAFETY: As in `pre_patch()`.
            unsafe { call(self.object.as_ptr()) }
        }
    }

    /// Calls the author's `pre_unpatch`, before the object is unpatched.
    ///
    /// # Context
    ///
    /// As for [`pre_patch`](Self::pre_patch).
    pub fn pre_unpatch(&self, _token: &CallbackToken) {
        // SAFETY: By the type invariant.
        if let Some(call) = unsafe { (*self.object.as_ptr()).callbacks.pre_unpatch } {
            // SAFETY: As in `pre_patch()`.
            unsafe { call(self.object.as_ptr()) }
        }
    }

    /// Calls the author's `post_unpatch` after the object was unpatched, if `pre_patch` was called
    /// and succeeded.
    ///
    /// # Context
    ///
    /// As for [`pre_patch`](Self::pre_patch).
    pub fn post_unpatch(&self, token: &CallbackToken) {
        // SAFETY: By the type invariant; the token excludes other accesses.
        let (enabled, call) = unsafe {
            let callbacks = &raw const (*self.object.as_ptr()).callbacks;
            ((*callbacks).post_unpatch_enabled, (*callbacks).post_unpatch)
        };
        if let (true, Some(call)) = (enabled, call) {
            // SAFETY: As in `pre_patch()`.
            unsafe { call(self.object.as_ptr()) }
        }
        self.forget_pre_patch(token);
    }
}

/// The description of a function in a patch.
pub struct FuncDesc<'a>(NonNull<klp_func>, PhantomData<&'a ObjectDesc>);

impl<'a> FuncDesc<'a> {
    /// Whether `func` is the entry that ends an array of functions.
    ///
    /// # Safety
    ///
    /// `func` can be read.
    pub(crate) unsafe fn is_end(func: NonNull<klp_func>) -> bool {
        // SAFETY: By the contract.
        let (name, replacement, position) = unsafe {
            let func = func.as_ptr();
            ((*func).old_name, (*func).new_func, (*func).old_sympos)
        };
        name.is_null() && replacement.is_null() && position == 0
    }

    /// Returns the name of the function to be replaced.
    pub fn name(&self) -> Option<&'a CStr> {
        // SAFETY: Part of an array of functions, by the invariant of `Described`; the `ObjectDesc`
        // keeps the module for as long as it is borrowed. Null or a terminated string of that
        // module.
        unsafe { terminated((*self.0.as_ptr()).old_name) }
    }

    /// Returns the address of the replacement, or 0 if the author left it out.
    pub fn replacement(&self) -> usize {
        // SAFETY: As in `name()`.
        unsafe { (*self.0.as_ptr()).new_func as usize }
    }

    /// Returns the position of the function among the symbols of its name, counted from 1. 0 means
    /// that the name is unique.
    pub fn sympos(&self) -> usize {
        // SAFETY: As in `name()`.
        unsafe { (*self.0.as_ptr()).old_sympos }
    }
}

/// # Safety
///
/// `s` is null, or a terminated string that outlives `'a`.
unsafe fn terminated<'a>(s: *const c_char) -> Option<&'a CStr> {
    // SAFETY: By the contract.
    (!s.is_null()).then(|| unsafe { CStr::from_char_ptr(s) })
}

/// A loader's implementation of the functions for patch modules.
pub trait Loader {
    /// Implements `klp_enable_patch()`.
    ///
    /// # Context
    ///
    /// Process context, may sleep.
    ///
    /// # Errors
    ///
    /// The reason why the patch cannot be enabled, with a line in the log. The patch's module gets
    /// the error from `klp_enable_patch()`.
    fn enable(patch: PatchDesc) -> Result;
    /// Implements `klp_get_prev_state()`: returns the newest entry for `id` in the patches that are
    /// older than the patch in transition, or `None` without a transition.
    ///
    /// # Context
    ///
    /// Any.
    fn prev_state(id: usize) -> Option<StatePtr>;
}

/// Emits the functions that `rust/helpers/exports.c` calls, for the [`Loader`] `$loader`.
#[macro_export]
macro_rules! export_klp {
    ($loader:ty) => {
        /// Called by a patch module's init, through the exported wrapper.
        ///
        /// # Safety
        ///
        /// The contract of klp_enable_patch(): the caller is the init of the patch's module; the
        /// structures, and all that they refer to, stay as they are while the module is loaded;
        /// each replacement is a function that can be called in place of the function that it
        /// names; and callbacks can be called with their objects.
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
        /// `patch` is null, or the caller's own patch, whose array of states has an end.
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
