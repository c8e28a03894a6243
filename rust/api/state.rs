// SPDX-License-Identifier: GPL-2.0

//! System states: changes that outlast a patch, and pass from one cumulative patch to the next.
//!
//! C source: [`kernel/livepatch/state.c`](srctree/kernel/livepatch/state.c)

use crate::{
    abi::{
        self,
        klp_state, //
    },
    Context, //
};
use core::{
    marker::PhantomData,
    ptr, //
};
use kernel::{
    alloc::KBox,
    prelude::*, //
};

/// A version of a system state whose data are a boxed `T`.
///
/// A patch lists the states that it changes in `states` of [`patch!`](crate::patch). The loader
/// refuses a patch if an enabled patch has a newer version of one of its states. It refuses a
/// cumulative patch that lacks a state of an enabled patch.
///
/// The patch owns the data until they are taken out. They can only be accessed in callbacks, whose
/// [`Context`] is the proof that the loader's lock is held. Data that are left when the module is
/// unloaded are leaked: [`take`](Self::take) them in `post_unpatch`.
///
/// # Examples
///
/// Version 2 takes over the data of version 1, and keeps them in a format of its own:
///
/// ```ignore
/// // SAFETY: State 1 is the console's log level; version 1 is the number alone.
/// const OLD: State<c_int> = unsafe { State::new(1, 1) };
/// // SAFETY: As above; version 2 also has the task that set it.
/// const LOGLEVEL: State<LogLevel> = unsafe { State::new(1, 2) };
///
/// fn post_patch(cx: &mut Context<'_>) {
///     if let Some(level) = OLD.take_prev(cx) {
///         ...
///     }
/// }
/// ```
pub struct State<T> {
    id: c_ulong,
    version: c_uint,
    _data: PhantomData<fn() -> T>,
}

impl<T: Send + 'static> State<T> {
    /// Declares version `version` of the state `id`, which is not 0.
    ///
    /// # Safety
    ///
    /// The data of a state of this `id` and `version` must be NULL or a pointer to a valid `T`,
    /// allocated as by [`KBox::new`]. No other pointer may refer to that `T`. This must hold in
    /// every patch for the same kernel, of this author or another, in Rust or in C.
    pub const unsafe fn new(id: c_ulong, version: c_uint) -> Self {
        assert!(id != 0, "0 ends the loader's list of states");
        Self {
            id,
            version,
            _data: PhantomData,
        }
    }

    /// Makes the entry for the loader; used by [`patch!`](crate::patch).
    #[doc(hidden)]
    pub const fn entry(&self) -> klp_state {
        klp_state {
            id: self.id,
            version: self.version,
            data: ptr::null_mut(),
        }
    }

    /// Returns the data, or [`None`] if there are none or the patch does not list this state.
    #[inline]
    pub fn get<'a>(&self, cx: &'a Context<'_>) -> Option<&'a T> {
        let data = *self.data_slot(self.entry_in_patch(cx))?;
        // SAFETY: The data are NULL or a `T` by the contract of `new()`. Functions that take or
        // replace the `T` need a `&mut Context`, and `cx` is the only context.
        unsafe { data.cast::<T>().as_ref() }
    }

    /// Returns the data to be changed, or [`None`] if there are none or the patch does not list
    /// this state.
    #[inline]
    pub fn get_mut<'a>(&self, cx: &'a mut Context<'_>) -> Option<&'a mut T> {
        let data = *self.data_slot(self.entry_in_patch(cx))?;
        // SAFETY: A `T` by the contract of `new()`. Every access needs the context, and `cx` is the
        // only context.
        unsafe { data.cast::<T>().as_mut() }
    }

    /// Stores `data`, and returns the previous data.
    ///
    /// # Errors
    ///
    /// `ENOENT` if the patch does not list this state.
    #[inline]
    pub fn set(&self, cx: &mut Context<'_>, data: KBox<T>) -> Result<Option<KBox<T>>> {
        let slot = self.data_slot(self.entry_in_patch(cx)).ok_or(ENOENT)?;
        let old = Self::take_box(slot);
        *slot = KBox::into_raw(data).cast();
        Ok(old)
    }

    /// Takes the data out.
    #[inline]
    pub fn take(&self, cx: &mut Context<'_>) -> Option<KBox<T>> {
        Self::take_box(self.data_slot(self.entry_in_patch(cx))?)
    }

    /// Takes the data out of the newest other patch that changes this state, if that patch has this
    /// version of it.
    ///
    /// To be called only while this patch is being enabled, and not before `post_patch`: until then
    /// the transition can be reversed, and the other patch would need its data. A patch that calls
    /// this must not be on probation: if it is taken back, the other patch lacks its data.
    #[inline]
    pub fn take_prev(&self, _cx: &mut Context<'_>) -> Option<KBox<T>> {
        // SAFETY: Callbacks may call this function; the context is the proof of a callback.
        Self::take_box(self.data_slot(unsafe { abi::rlp_get_prev_state(self.id) })?)
    }

    /// Returns the version of this state in the newest other patch that changes it.
    ///
    /// To be called only while this patch is being enabled.
    #[inline]
    pub fn prev_version(&self, _cx: &Context<'_>) -> Option<c_uint> {
        // SAFETY: Callbacks may call this function; the context is the proof of a callback. It
        // returns NULL or a state of a patch that stays while the lock is held.
        unsafe { abi::rlp_get_prev_state(self.id).as_ref() }.map(|state| state.version)
    }

    /// Returns this state in the patch of the callback, or NULL.
    fn entry_in_patch(&self, cx: &Context<'_>) -> *mut klp_state {
        // SAFETY: The patch is the one that the loader is working on.
        unsafe { abi::rlp_get_state(cx.patch(), self.id) }
    }

    /// Returns the data pointer of `state`, if `state` has this version.
    ///
    /// `state` is NULL, or the loader has returned it in this callback.
    fn data_slot<'a>(&self, state: *mut klp_state) -> Option<&'a mut *mut c_void> {
        // SAFETY: A state lives as long as its patch, which stays while the loader's lock is held.
        // No other thread accesses it while the lock is held.
        unsafe { state.as_mut() }
            .filter(|state| state.version == self.version)
            .map(|state| &mut state.data)
    }

    /// Takes the box out of the data pointer of a state with this version.
    fn take_box(slot: &mut *mut c_void) -> Option<KBox<T>> {
        let data = core::mem::replace(slot, ptr::null_mut());
        if data.is_null() {
            return None;
        }
        // SAFETY: By the contract of `new()` the pointer is that of a box. The state had the only
        // pointer, and has none any more.
        Some(unsafe { KBox::from_raw(data.cast()) })
    }
}
