// SPDX-License-Identifier: GPL-2.0

//! A notifier for modules that are loaded and unloaded.
//!
//! C header: [`include/linux/module.h`](srctree/include/linux/module.h)

use core::{
    ffi::c_void,
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
    str::CStr,
    types::Opaque, //
};

/// A module that is being loaded or unloaded. It is not freed during `'a`, a call of [`Events`].
#[derive(Clone, Copy)]
pub struct NotifiedModule<'a>(NonNull<bindings::module>, PhantomData<&'a bindings::module>);

impl<'a> NotifiedModule<'a> {
    /// Returns the name of the module.
    pub fn name(self) -> &'a CStr {
        // SAFETY: Valid by the type. The name is terminated, and never changes.
        unsafe { CStr::from_char_ptr((&raw const (*self.0.as_ptr()).name).cast()) }
    }

    /// Returns the pointer, which is not null, and valid during `'a`.
    pub fn as_ptr(self) -> *mut bindings::module {
        self.0.as_ptr()
    }
}

/// Functions that are called when modules are loaded and unloaded.
pub trait Events {
    /// Called before the module's init runs. ftrace has the records of the module, unless it had no
    /// memory for them or has shut itself down.
    ///
    /// # Errors
    ///
    /// An error refuses the module with that errno.
    fn coming(module: NotifiedModule<'_>) -> Result;

    /// Called after the module's exit has run, or its init has failed, or a later notifier has
    /// refused it. The module's text is still there, and ftrace still has its records.
    fn going(module: NotifiedModule<'_>);
}

/// A registered module notifier. The drop unregisters it, and waits for calls in progress.
///
/// # Examples
///
/// ```
/// use kernel_ext::module_notifier::{
///     Events,
///     NotifiedModule,
///     Notifier, //
/// };
///
/// struct Refuse;
///
/// impl Events for Refuse {
///     fn coming(module: NotifiedModule<'_>) -> Result {
///         if module.name().to_bytes().starts_with(b"bad_") {
///             return Err(EPERM);
///         }
///         Ok(())
///     }
///
///     fn going(_module: NotifiedModule<'_>) {}
/// }
///
/// // No module whose name begins with "bad_" can be loaded while this lives.
/// let notifier = Notifier::<Refuse>::register(0)?;
/// # Ok::<(), Error>(())
/// ```
pub struct Notifier<T: Events>(Pin<KBox<Opaque<bindings::notifier_block>>>, PhantomData<T>);

// SAFETY: The notifier chain locks its accesses to a block.
unsafe impl<T: Events> Send for Notifier<T> {}
// SAFETY: Shared references to a notifier give no access to the block.
unsafe impl<T: Events> Sync for Notifier<T> {}

impl<T: Events> Notifier<T> {
    /// Registers the notifier. Notifiers of a higher priority are called earlier.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn register(priority: i32) -> Result<Self> {
        let block = bindings::notifier_block {
            notifier_call: Some(Self::call),
            priority,
            ..Default::default()
        };
        let this = Self(KBox::pin(Opaque::new(block), GFP_KERNEL)?, PhantomData);
        // SAFETY: The block is pinned and initialised until the drop unregisters it.
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
        // The chain passes a module that it keeps for the call.
        let Some(module) = NonNull::new(module.cast()) else {
            return 0;
        };
        let module = NotifiedModule(module, PhantomData);
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
        // SAFETY: The block was registered in `register()`. If that failed, the chain does not have
        // it, and this returns an error.
        unsafe { bindings::unregister_module_notifier(self.0.get()) };
    }
}
