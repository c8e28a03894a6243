// SPDX-License-Identifier: GPL-2.0

//! Modules: references, facts, and news of those that come and go.
//!
//! C header: [`include/linux/module.h`](srctree/include/linux/module.h)

use crate::nofault;
use core::{ffi::c_void, marker::PhantomData, ptr::NonNull};
use kernel::{
    bindings,
    error::to_result,
    ffi::{c_int, c_ulong},
    prelude::*,
    str::CStr,
    types::Opaque, //
};

/// `MODULE_NAME_LEN`, with the terminator.
pub const MODULE_NAME_LEN: usize = 64 - core::mem::size_of::<usize>();

/// How far a module is in its life (`enum module_state`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Initialised.
    Live,
    /// Its init has not returned.
    Coming,
    /// On its way out.
    Going,
    /// Being set up; not to be used.
    Unformed,
}

/// A loaded module, valid while something keeps it from being freed.
#[derive(Clone, Copy)]
pub struct Module<'a>(NonNull<bindings::module>, PhantomData<&'a bindings::module>);

impl<'a> Module<'a> {
    /// # Safety
    ///
    /// `ptr` is a module that is not freed during `'a`.
    pub(crate) unsafe fn from_raw(ptr: *mut bindings::module) -> Option<Self> {
        // SAFETY: By the contract.
        (!ptr.is_null()).then(|| unsafe { Self::of(ptr) })
    }

    /// # Safety
    ///
    /// As for [`from_raw`](Self::from_raw); and `ptr` is not null.
    pub(crate) unsafe fn of(ptr: *mut bindings::module) -> Self {
        // SAFETY: By the contract.
        Self(unsafe { NonNull::new_unchecked(ptr) }, PhantomData)
    }

    pub(crate) fn as_ptr(self) -> *mut bindings::module {
        self.0.as_ptr()
    }

    /// Its name; at most `MODULE_NAME_LEN` bytes with the terminator.
    pub fn name(self) -> &'a CStr {
        // SAFETY: Valid by the type, and the name is terminated.
        unsafe { CStr::from_char_ptr(rlp_bindings::rlp_module_name(self.as_ptr())) }
    }

    /// Marked `livepatch=Y`; always true on a kernel that cannot tell.
    pub fn is_livepatch(self) -> bool {
        // SAFETY: Valid by the type.
        unsafe { rlp_bindings::rlp_module_is_livepatch(self.as_ptr()) }
    }

    /// Whether somebody has a reference to it: so it is not when it goes, unless its init failed, or
    /// it is removed by force.
    pub fn is_used(self) -> bool {
        // SAFETY: Valid by the type.
        unsafe { bindings::module_refcount(self.as_ptr()) > 0 }
    }

    /// Whether its init has succeeded and nobody removes it: then what refers to it keeps it, save
    /// from `rmmod -f`. Stale at once, but a module that is used and live stays so.
    pub fn is_live(self) -> bool {
        // SAFETY: Valid by the type.
        unsafe { rlp_bindings::rlp_module_is_live(self.as_ptr()) }
    }

    /// Whether ftrace lacked memory for the functions of this module, which comes, and knows none of
    /// them; or has shut itself down. It lets the module load all the same (`ftrace_module_init()` in
    /// `kernel/trace/ftrace.c`). Context: any.
    pub fn lacks_sites(self) -> bool {
        // SAFETY: Valid by the type.
        unsafe { rlp_bindings::rlp_module_lacks_sites(self.as_ptr()) }
    }

    /// `EKEYREJECTED` unless the kernel verified its signature.
    pub fn check_signature(self) -> Result {
        // SAFETY: Valid by the type.
        match unsafe { rlp_bindings::rlp_module_sig_ok(self.as_ptr()) } {
            true => Ok(()),
            false => Err(Error::from_errno(-(bindings::EKEYREJECTED as c_int))),
        }
    }

    /// Start and size in bytes of the text that stays after init.
    pub fn text(self) -> (usize, usize) {
        let mut size: c_ulong = 0;
        // SAFETY: Valid by the type.
        let start = unsafe { rlp_bindings::rlp_module_text(self.as_ptr(), &raw mut size) };
        (start, size)
    }

    /// Applies the relocations of this module, a live patch, that wait for `object`, which is
    /// loaded (`klp_apply_section_relocs()` in `kernel/livepatch/core.c`).
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL`, with a line in the log; `ENOSYS` if the kernel cannot apply any. No relocation stays
    /// applied then. `ENOEXEC`, with a line in the log, for a relocation that does not fit its place:
    /// the relocations before it in its section stay applied, and this cannot be retried.
    ///
    /// # Safety
    ///
    /// - No task runs code of this module that refers to `object`, until this returns.
    /// - Afterwards such code only runs while `object` is loaded.
    /// - No other thread applies or clears relocations of this module at the same time.
    pub unsafe fn apply_relocations(self, object: &CStr) -> Result {
        // SAFETY: Valid by the type; the name is terminated; the rest is the contract.
        to_result(unsafe {
            rlp_bindings::rlp_module_relocate(self.as_ptr(), object.as_char_ptr(), true)
        })
    }

    /// Clears the relocations for `object`, so that they can be applied again. A place that does not
    /// hold what was applied is left alone, and the kernel logs that.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Safety
    ///
    /// - No task runs code of this module that refers to `object`, until the relocations are applied
    ///   again.
    /// - No other thread applies or clears relocations of this module at the same time.
    pub unsafe fn clear_relocations(self, object: &CStr) {
        // SAFETY: Valid by the type; the name is terminated; the rest is the contract.
        let _ = unsafe {
            rlp_bindings::rlp_module_relocate(self.as_ptr(), object.as_char_ptr(), false)
        };
    }

    /// A reference of one's own.
    ///
    /// # Errors
    ///
    /// `ENODEV` if it is on its way out.
    pub fn get(self) -> Result<ModuleRef> {
        // SAFETY: Valid by the type.
        if unsafe { bindings::try_module_get(self.as_ptr()) } {
            Ok(ModuleRef(self.0))
        } else {
            Err(ENODEV)
        }
    }
}

/// A counted reference: the module stays loaded.
pub struct ModuleRef(NonNull<bindings::module>);

// SAFETY: Any thread may put a reference to a module.
unsafe impl Send for ModuleRef {}
// SAFETY: Methods on a shared reference get further references, which any thread may do.
unsafe impl Sync for ModuleRef {}

impl ModuleRef {
    /// What is referred to.
    pub fn module(&self) -> Module<'_> {
        Module(self.0, PhantomData)
    }

    /// Gets another reference that is never put: the module stays loaded for ever.
    pub fn pin(&self) {
        // SAFETY: The module is valid, and has a reference already.
        unsafe { bindings::__module_get(self.0.as_ptr()) }
    }
}

impl Drop for ModuleRef {
    fn drop(&mut self) {
        // SAFETY: Taken in `get()`.
        unsafe { bindings::module_put(self.0.as_ptr()) }
    }
}

/// A module that was on the list a moment ago: its address, not to be followed.
pub struct FoundModule {
    pub(crate) module: *mut bindings::module,
    /// How far it was then.
    pub state: State,
}

/// Looks for the module `name`.
///
/// Context: any. It may be gone by the time the result is looked at, unless the caller holds a lock
/// that [`Events::going`] takes too: then one that is `Live`, or was announced and has not been told
/// to go, stays.
pub fn find(name: &CStr) -> Option<FoundModule> {
    let mut state = 0;
    // SAFETY: `name` is terminated; the state is written if there is such a module.
    let module = unsafe { rlp_bindings::rlp_find_module(name.as_char_ptr(), &raw mut state) };
    if module.is_null() {
        return None;
    }
    let state = match state {
        bindings::module_state_MODULE_STATE_LIVE => State::Live,
        bindings::module_state_MODULE_STATE_COMING => State::Coming,
        bindings::module_state_MODULE_STATE_GOING => State::Going,
        _ => State::Unformed,
    };
    Some(FoundModule { module, state })
}

/// The module at `ptr`, which may be any address, if one is loaded there.
///
/// Context: any.
///
/// # Safety
///
/// If there is one, it is not freed during `'a`.
pub(crate) unsafe fn loaded_at<'a>(ptr: *mut bindings::module) -> Option<Module<'a>> {
    // SAFETY: This is arithmetic alone, the name being a part of the structure.
    let name = unsafe { rlp_bindings::rlp_module_name(ptr) };
    nofault::terminated(name.cast(), MODULE_NAME_LEN).ok()?;
    // SAFETY: Just read, with its end.
    let seen = find(unsafe { CStr::from_char_ptr(name) })?;
    // SAFETY: The kernel lists it, and by the contract it stays.
    (seen.module == ptr).then(|| unsafe { Module::of(ptr) })
}

/// Whether `addr` is in the text of module `name` that is freed when its init is done.
///
/// Context: any. It may be gone by then, as with [`find`].
pub fn is_init_text(name: &CStr, addr: usize) -> bool {
    // SAFETY: `name` is terminated.
    unsafe { rlp_bindings::rlp_module_is_init_text(name.as_char_ptr(), addr) }
}

/// What wants to hear of modules.
pub trait Events {
    /// Before its init runs, after ftrace knows it. An error refuses the module with that errno.
    fn coming(module: Module<'_>) -> Result;
    /// Its exit has run, or its init failed, or a later notifier refused it; its text is still
    /// there, and ftrace knows it.
    fn going(module: Module<'_>);
}

/// A registered module notifier, before all others. Dropping it unregisters it and waits.
pub struct Notifier<T: Events>(Pin<KBox<Opaque<bindings::notifier_block>>>, PhantomData<T>);

// SAFETY: The notifier chain locks what it does with a block.
unsafe impl<T: Events> Send for Notifier<T> {}
// SAFETY: A shared reference to it does nothing.
unsafe impl<T: Events> Sync for Notifier<T> {}

impl<T: Events> Notifier<T> {
    /// Context: may sleep. `ENOMEM`.
    pub fn register() -> Result<Self> {
        let block = bindings::notifier_block {
            notifier_call: Some(Self::call),
            priority: c_int::MAX,
            ..Default::default()
        };
        let this = Self(KBox::pin(Opaque::new(block), GFP_KERNEL)?, PhantomData);
        // SAFETY: Pinned and initialised, until the drop unregisters it.
        to_result(unsafe { bindings::register_module_notifier(this.0.get()) })?;
        Ok(this)
    }

    /// # Safety
    ///
    /// The chain of module notifiers calls this.
    unsafe extern "C" fn call(
        _block: *mut bindings::notifier_block,
        event: c_ulong,
        module: *mut c_void,
    ) -> c_int {
        // SAFETY: The chain passes a module that it keeps for the call.
        let Some(module) = (unsafe { Module::from_raw(module.cast()) }) else {
            return 0;
        };
        match event as bindings::module_state {
            bindings::module_state_MODULE_STATE_COMING => match T::coming(module) {
                Ok(()) => bindings::NOTIFY_OK as c_int,
                // notifier_from_errno()
                Err(e) => bindings::NOTIFY_STOP_MASK as c_int | (1 - e.to_errno()),
            },
            bindings::module_state_MODULE_STATE_GOING => {
                T::going(module);
                bindings::NOTIFY_OK as c_int
            }
            _ => 0,
        }
    }
}

impl<T: Events> Drop for Notifier<T> {
    fn drop(&mut self) {
        // SAFETY: Registered in `register()`. (Also where that failed: then it is not found.)
        unsafe { bindings::unregister_module_notifier(self.0.get()) };
    }
}
