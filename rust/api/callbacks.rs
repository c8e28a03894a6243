// SPDX-License-Identifier: GPL-2.0

//! Callbacks: functions of a patch that the loader calls when it patches and unpatches an object.

use crate::{
    abi::{
        klp_callbacks,
        klp_object,
        klp_patch, //
    },
    Patch,
    PatchModule, //
};
use core::marker::PhantomData;
use kernel::{
    error::from_result,
    prelude::*, //
};

/// The callbacks of an object. The default of each does nothing.
///
/// The first two are called when the object (the kernel, or a module) is patched: when the patch is
/// enabled, or before the init of a module that is loaded later. The last two are called when the
/// patch is disabled, or after the exit of the module. Each is called once, in this order. All are
/// called again if the module is loaded again. If patching fails or is reversed, the callbacks that
/// undo earlier ones are called: see [the kernel's
/// documentation](srctree/Documentation/livepatch/callbacks.rst).
///
/// # Context
///
/// All may sleep. The loader holds the lock that serialises patching. A callback must not wait for
/// another patch, load a module, register or unregister a module notifier, or start a thread that
/// runs in the patch.
///
/// # Examples
///
/// ```ignore
/// struct Log;
///
/// impl livepatch::Callbacks for Log {
///     fn pre_patch(cx: &mut livepatch::Context<'_>) -> Result {
///         pr_info!("about to patch {}\n", cx.object());
///         Ok(())
///     }
/// }
/// ```
pub trait Callbacks {
    /// Called before the object is patched.
    ///
    /// # Errors
    ///
    /// An error refuses the patch; or the module, if the object is a module that is being loaded.
    fn pre_patch(_cx: &mut Context<'_>) -> Result {
        Ok(())
    }

    /// Called when the object is patched and every task uses the new code.
    fn post_patch(_cx: &mut Context<'_>) {}

    /// Called before the object is unpatched, while every task uses the new code.
    fn pre_unpatch(_cx: &mut Context<'_>) {}

    /// Called when the object is unpatched and no task uses the new code; also if patching failed
    /// or was reversed after `pre_patch` had succeeded.
    fn post_unpatch(_cx: &mut Context<'_>) {}
}

/// The argument of a callback, and the proof that a callback runs, which [`State`](crate::State)
/// needs.
///
/// # Invariants
///
/// - `patch` and `object` are the ones that the loader calls the callback for.
/// - The loader's lock is held while this value lives, and there is one such value at a time.
pub struct Context<'a> {
    patch: &'static Patch,
    object: *mut klp_object,
    /// Keeps the value in the call, and in the thread that holds the lock.
    _lock: PhantomData<(&'a mut (), *mut ())>,
}

impl Context<'_> {
    /// Returns the name of the object: the name of a module, or "vmlinux".
    #[inline]
    pub fn object(&self) -> &CStr {
        // SAFETY: By the type invariants this is an object of the patch, and the patch's objects
        // live as long as the module.
        let name = unsafe { (*self.object).name };
        if name.is_null() {
            c"vmlinux"
        } else {
            // SAFETY: The name was passed to `object()` as a `&'static CStr`.
            unsafe { CStr::from_char_ptr(name) }
        }
    }

    /// Returns the patch of the callback.
    #[inline]
    pub(crate) fn patch(&self) -> *mut klp_patch {
        self.patch.raw.get()
    }

    /// # Safety
    ///
    /// The loader calls a callback for `object`, which belongs to `P`, and `'a` does not outlive
    /// that call.
    unsafe fn new<P: PatchModule>(object: *mut klp_object) -> Self {
        // INVARIANT: By the contract. The loader calls callbacks with its lock held, and each
        // callback makes one context.
        Self {
            patch: P::patch(),
            object,
            _lock: PhantomData,
        }
    }
}

/// Makes the callbacks of an object that has none.
pub const fn no_callbacks() -> klp_callbacks {
    klp_callbacks {
        pre_patch: None,
        post_patch: None,
        pre_unpatch: None,
        post_unpatch: None,
        post_unpatch_enabled: false,
    }
}

/// Makes the callbacks of `C` for an object of the patch `P`.
pub const fn callbacks<P: PatchModule, C: Callbacks>() -> klp_callbacks {
    klp_callbacks {
        pre_patch: Some(pre_patch::<P, C>),
        post_patch: Some(post_patch::<P, C>),
        pre_unpatch: Some(pre_unpatch::<P, C>),
        post_unpatch: Some(post_unpatch::<P, C>),
        post_unpatch_enabled: false,
    }
}

/// # Safety
///
/// The loader calls this, as the callback of an object that `P` declares.
unsafe extern "C" fn pre_patch<P: PatchModule, C: Callbacks>(object: *mut klp_object) -> c_int {
    // SAFETY: By the contract.
    let mut cx = unsafe { Context::new::<P>(object) };
    from_result(|| C::pre_patch(&mut cx).map(|()| 0))
}

/// # Safety
///
/// The loader calls this, as the callback of an object that `P` declares.
unsafe extern "C" fn post_patch<P: PatchModule, C: Callbacks>(object: *mut klp_object) {
    // SAFETY: By the contract.
    C::post_patch(&mut unsafe { Context::new::<P>(object) });
}

/// # Safety
///
/// The loader calls this, as the callback of an object that `P` declares.
unsafe extern "C" fn pre_unpatch<P: PatchModule, C: Callbacks>(object: *mut klp_object) {
    // SAFETY: By the contract.
    C::pre_unpatch(&mut unsafe { Context::new::<P>(object) });
}

/// # Safety
///
/// The loader calls this, as the callback of an object that `P` declares.
unsafe extern "C" fn post_unpatch<P: PatchModule, C: Callbacks>(object: *mut klp_object) {
    // SAFETY: By the contract.
    C::post_unpatch(&mut unsafe { Context::new::<P>(object) });
}
