// SPDX-License-Identifier: GPL-2.0

//! Modules: references and members.
//!
//! C header: [`include/linux/module.h`](srctree/include/linux/module.h)

use crate::{
    kallsyms,
    nofault, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    error::to_result,
    ffi::{
        c_int,
        c_ulong, //
    },
    prelude::*,
    str::CStr, //
};

pub use crate::module_notifier::{
    Events,
    NotifiedModule,
    Notifier, //
};

/// `MODULE_NAME_LEN`, with the terminator.
pub const MODULE_NAME_LEN: usize = 64 - core::mem::size_of::<usize>();

/// The longest string that [`Module::string`] returns, in bytes with the terminator. The CVE
/// numbers of a cumulative patch are such a string: 16 KiB has room for 1,000 of them.
pub const LONGEST_STRING: usize = 16 * 1024;

/// The state of a module (`enum module_state`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The module's init has succeeded.
    Live,
    /// The module's init has not returned.
    Coming,
    /// The module is being unloaded.
    Going,
    /// The module is being set up, and must not be used.
    Unformed,
}

/// A loaded module, valid while something keeps it from being freed.
#[derive(Clone, Copy)]
pub struct Module<'a>(NonNull<bindings::module>, PhantomData<&'a bindings::module>);

impl<'a> Module<'a> {
    /// # Safety
    ///
    /// `ptr` is a module that is not freed during `'a`.
    pub(crate) unsafe fn of(ptr: *mut bindings::module) -> Self {
        // SAFETY: By the contract.
        Self(unsafe { NonNull::new_unchecked(ptr) }, PhantomData)
    }

    /// Returns the pointer, which is not null, and valid during `'a`.
    pub(crate) fn as_ptr(self) -> *mut bindings::module {
        self.0.as_ptr()
    }

    /// Returns the name, of at most `MODULE_NAME_LEN` bytes with the terminator.
    ///
    /// # Context
    ///
    /// Any.
    pub fn name(self) -> &'a CStr {
        // SAFETY: Valid by the type, and the name is terminated.
        unsafe { CStr::from_char_ptr(rlp_bindings::rlp_module_name(self.as_ptr())) }
    }

    /// Whether the module is marked `livepatch=Y`. Always true on a kernel without
    /// `CONFIG_LIVEPATCH`.
    ///
    /// # Context
    ///
    /// Any.
    pub fn is_livepatch(self) -> bool {
        // SAFETY: Valid by the type.
        unsafe { rlp_bindings::rlp_module_is_livepatch(self.as_ptr()) }
    }

    /// Whether there is a reference to the module. A module that is being unloaded has none, unless
    /// its init failed, or it is removed by force.
    ///
    /// # Context
    ///
    /// Any.
    pub fn is_used(self) -> bool {
        // SAFETY: Valid by the type.
        unsafe { bindings::module_refcount(self.as_ptr()) > 0 }
    }

    /// Whether the module's init has succeeded and the module is not being unloaded.
    ///
    /// The answer may be stale at once. But a live module with a reference stays live, unless
    /// `rmmod -f` removes it.
    ///
    /// # Context
    ///
    /// Any.
    pub fn is_live(self) -> bool {
        // SAFETY: Valid by the type.
        unsafe { rlp_bindings::rlp_module_is_live(self.as_ptr()) }
    }

    /// Whether this module, which is being loaded, has fentry sites, and none of them has a record
    /// in ftrace. The reason is that ftrace had no memory for the records, or has shut itself down.
    /// ftrace lets the module load all the same (`ftrace_module_init()` in
    /// `kernel/trace/ftrace.c`).
    ///
    /// # Context
    ///
    /// Any.
    pub fn lacks_sites(self) -> bool {
        // SAFETY: Valid by the type.
        unsafe { rlp_bindings::rlp_module_lacks_sites(self.as_ptr()) }
    }

    /// Checks that the kernel has verified the signature of the module.
    ///
    /// # Context
    ///
    /// Any.
    ///
    /// # Errors
    ///
    /// `EKEYREJECTED` if it has not.
    pub fn check_signature(self) -> Result {
        // SAFETY: Valid by the type.
        if unsafe { rlp_bindings::rlp_module_sig_ok(self.as_ptr()) } {
            Ok(())
        } else {
            Err(Error::from_errno(-(bindings::EKEYREJECTED as c_int)))
        }
    }

    /// Returns the start and the size in bytes of the text that is not freed after init.
    ///
    /// # Context
    ///
    /// Any.
    pub fn text(self) -> (usize, usize) {
        let mut size: c_ulong = 0;
        // SAFETY: Valid by the type.
        let start = unsafe { rlp_bindings::rlp_module_text(self.as_ptr(), &raw mut size) };
        (start, size)
    }

    /// Returns a copy of the string that the module has as the object `symbol`, if it has that
    /// symbol.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `E2BIG` if the string is longer than [`LONGEST_STRING`]; `EFAULT` or `ERANGE` if it cannot
    /// be read; `ENOMEM`.
    pub fn string(self, symbol: &CStr) -> Result<Option<KVVec<u8>>> {
        let mut found = None;
        kallsyms::each_in_module(self.name(), |name, addr| {
            if *name == *symbol {
                found = Some(addr);
            }
            found.is_none()
        })?;
        found
            .map(|addr| nofault::string(addr as *const u8, LONGEST_STRING))
            .transpose()
    }

    /// Applies the relocations of this module, which is a live patch, that refer to the loaded
    /// module `object` (`klp_apply_section_relocs()` in `kernel/livepatch/core.c`).
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// - `EINVAL`, with a line in the log, or `EOPNOTSUPP` if the kernel cannot apply any. No
    ///   relocation stays applied.
    /// - `ENOEXEC`, with a line in the log, if one relocation fails, for example because its value
    ///   does not fit. The relocations before it in its section stay applied, so a retry fails.
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

    /// Clears the relocations for `object`, so that they can be applied again. If a place does not
    /// hold the applied value, the kernel logs that, and does not clear the rest of the section
    /// (`clear_relocate_add()` in `arch/x86/kernel/module.c`).
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Safety
    ///
    /// - No task runs code of this module that refers to `object`, until the relocations are
    ///   applied again.
    /// - No other thread applies or clears relocations of this module at the same time.
    pub unsafe fn clear_relocations(self, object: &CStr) {
        // SAFETY: Valid by the type; the name is terminated; the rest is the contract.
        let _ = unsafe {
            rlp_bindings::rlp_module_relocate(self.as_ptr(), object.as_char_ptr(), false)
        };
    }

    /// Keeps the kernel from freeing the module, which is being unloaded: see [`Stall`]. The caller
    /// is `Events::going` for this module. Returns `None` if the load of the module failed before
    /// its init was called: the kernel cannot be made to wait then.
    ///
    /// # Context
    ///
    /// Any.
    pub fn stall(self) -> Option<Stall> {
        // SAFETY: Valid by the type.
        unsafe { rlp_bindings::rlp_module_kobject_get(self.as_ptr()) }.then(|| Stall(self.0))
    }

    /// Gets a reference to the module.
    ///
    /// # Context
    ///
    /// Any.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the module is being unloaded.
    pub fn get(self) -> Result<ModuleRef> {
        // SAFETY: Valid by the type.
        if unsafe { bindings::try_module_get(self.as_ptr()) } {
            Ok(ModuleRef(self.0))
        } else {
            Err(ENODEV)
        }
    }
}

impl<'a> From<NotifiedModule<'a>> for Module<'a> {
    fn from(module: NotifiedModule<'a>) -> Self {
        // SAFETY: The module is not freed during `'a`, and the pointer is not null.
        unsafe { Self::of(module.as_ptr()) }
    }
}

/// A counted reference, which keeps the module loaded. The drop puts it.
pub struct ModuleRef(NonNull<bindings::module>);

// SAFETY: Any thread may put a reference to a module.
unsafe impl Send for ModuleRef {}
// SAFETY: Methods on a shared `ModuleRef` get further references to the module, which any thread
// may do.
unsafe impl Sync for ModuleRef {}

impl ModuleRef {
    /// Returns the module, which stays loaded while this reference is borrowed.
    pub fn module(&self) -> Module<'_> {
        Module(self.0, PhantomData)
    }

    /// Gets another reference that is never put: the module stays loaded for ever.
    ///
    /// # Context
    ///
    /// Any.
    pub fn pin(&self) {
        // SAFETY: The module is valid, and has a reference already.
        unsafe { bindings::__module_get(self.0.as_ptr()) }
    }
}

impl Drop for ModuleRef {
    fn drop(&mut self) {
        // SAFETY: The reference is from `get()`.
        unsafe { bindings::module_put(self.0.as_ptr()) }
    }
}

/// Keeps the kernel from freeing a module that is being unloaded. The drop lets the kernel free it.
///
/// The kernel ignores references to a module whose init has failed, or that is unloaded by force.
/// But early in `free_module()` (`kernel/module/main.c`), the kernel removes the directory of the
/// module in `/sys/module`, and waits until nothing uses the directory. Until then these stay: the
/// memory of the module, its per-CPU memory, its tables for the unwinder, for faults and for
/// warnings, and its references to other modules. The task that unloads the module sleeps
/// uninterruptibly and holds no lock.
///
/// The notifiers have been called for the module by then. So jump labels and static calls in the
/// module do not change any more, and ftrace and kprobes do not know its functions any more.
pub struct Stall(NonNull<bindings::module>);

// SAFETY: Any thread may put a reference to a kobject.
unsafe impl Send for Stall {}
// SAFETY: A shared `Stall` gives no access to the module.
unsafe impl Sync for Stall {}

impl Stall {
    /// Keeps the module for ever. The task that unloads it never continues.
    pub fn keep(self) {
        core::mem::forget(self);
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        // SAFETY: The reference is from `Module::stall()`, and keeps the module from being freed.
        unsafe { rlp_bindings::rlp_module_kobject_put(self.0.as_ptr()) }
    }
}

/// A module that was loaded when it was looked up. Its address is not followed.
pub struct FoundModule {
    pub(crate) module: *mut bindings::module,
    /// The state of the module at that time.
    pub state: State,
}

/// Finds the module `name`.
///
/// The module may be freed when this returns, unless the caller holds a lock that `Events::going`
/// takes, too. While that lock is held, a module stays loaded if it is `Live`, or if
/// `Events::coming` was called for it and `Events::going` was not.
///
/// # Context
///
/// Any.
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

/// Returns the module at `ptr`, which may be any address, or `None` if no module is loaded there.
///
/// # Context
///
/// Any.
///
/// # Safety
///
/// If a module is loaded there, it is not freed during `'a`.
pub(crate) unsafe fn loaded_at<'a>(ptr: *mut bindings::module) -> Option<Module<'a>> {
    // SAFETY: This only adds an offset: the name is a member of the structure.
    let name = unsafe { rlp_bindings::rlp_module_name(ptr) };
    nofault::terminated(name.cast(), MODULE_NAME_LEN).ok()?;
    // SAFETY: The name was just read, with its terminator.
    let seen = find(unsafe { CStr::from_char_ptr(name) })?;
    // SAFETY: The kernel has a module at this address, which stays by the contract.
    (seen.module == ptr).then(|| unsafe { Module::of(ptr) })
}

/// Whether `addr` is in the text of module `name` that is freed after its init.
///
/// The module may be freed when this returns, as with [`find`].
///
/// # Context
///
/// Any.
pub fn is_init_text(name: &CStr, addr: usize) -> bool {
    // SAFETY: `name` is terminated.
    unsafe { rlp_bindings::rlp_module_is_init_text(name.as_char_ptr(), addr) }
}
