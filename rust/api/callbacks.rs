// SPDX-License-Identifier: GPL-2.0

//! Callbacks: what a patch does when an object is patched and unpatched.

use crate::{
    abi::{klp_callbacks, klp_object, klp_patch},
    Patch, PatchModule,
};
use core::marker::PhantomData;
use kernel::{error::from_result, prelude::*};

/// What a patch does around the patching of an object. All have a default that does nothing.
///
/// The four are called in this order, each once, when the object (the kernel, or a module) is
/// patched; that is when the patch is enabled, or for a module that is loaded later, before its
/// init function runs. The last two are called when the patch is disabled, or when the module
/// goes, after its exit function has run. If patching fails or is reversed half-way, those called
/// are the ones that undo what was done: see
/// [the kernel's documentation](srctree/Documentation/livepatch/callbacks.rst).
///
/// # Context
///
/// All may sleep. The loader holds the lock that serialises all patching: a callback must neither
/// wait for another patch, load a module, register or unregister a module notifier, nor start a
/// thread that runs in the patch.
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
    /// Any error refuses the patch, or if the object is a module being loaded, that module.
    fn pre_patch(_cx: &mut Context<'_>) -> Result {
        Ok(())
    }

    /// Called when the object is patched and every task has moved to the new code.
    fn post_patch(_cx: &mut Context<'_>) {}

    /// Called before the object is unpatched, with every task still in the new code.
    fn pre_unpatch(_cx: &mut Context<'_>) {}

    /// Called when the object is unpatched and no task is left in the new code; also when
    /// patching failed or was reversed after `pre_patch` had succeeded.
    fn post_unpatch(_cx: &mut Context<'_>) {}
}

/// What a callback is told, and the proof that it runs as one: [`State`](crate::State) asks for it.
///
/// # Invariants
///
/// - `patch` and `object` are those that the loader works on.
/// - The loader's lock is held while this value lives, and there is one such value at a time.
pub struct Context<'a> {
    patch: &'static Patch,
    object: *mut klp_object,
    /// Confines it to the call, and to the thread that holds the lock.
    _lock: PhantomData<(&'a mut (), *mut ())>,
}

impl Context<'_> {
    /// The name of the object: that of a module, or "vmlinux".
    #[inline]
    pub fn object(&self) -> &CStr {
        // SAFETY: By the type invariants the object is one of this patch's, all of which live as
        // long as the module.
        let name = unsafe { (*self.object).name };
        if name.is_null() {
            c"vmlinux"
        } else {
            // SAFETY: The name was given to `object()` as a `&'static CStr`.
            unsafe { CStr::from_char_ptr(name) }
        }
    }

    /// The patch that the callback is one of.
    #[inline]
    pub(crate) fn patch(&self) -> *mut klp_patch {
        self.patch.raw.get()
    }

    /// # Safety
    ///
    /// The loader must be in a callback for `object`, which belongs to `P`, and `'a` must not
    /// outlive that call.
    unsafe fn new<P: PatchModule>(object: *mut klp_object) -> Self {
        // INVARIANT: As the contract says. The loader calls callbacks with its lock held, and each
        // of them makes one context.
        Self {
            patch: P::patch(),
            object,
            _lock: PhantomData,
        }
    }
}

/// No callbacks.
pub const fn no_callbacks() -> klp_callbacks {
    klp_callbacks {
        pre_patch: None,
        post_patch: None,
        pre_unpatch: None,
        post_unpatch: None,
        post_unpatch_enabled: false,
    }
}

/// The callbacks of `C` for an object of the patch `P`.
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
