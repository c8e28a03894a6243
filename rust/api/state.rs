// SPDX-License-Identifier: GPL-2.0

//! System states: changes that outlast a patch, handed from one cumulative patch to the next.
//!
//! C source: [`kernel/livepatch/state.c`](srctree/kernel/livepatch/state.c)

use crate::{
    abi::{self, klp_state},
    Context,
};
use core::{marker::PhantomData, ptr};
use kernel::{alloc::KBox, prelude::*};

/// A version of a system state whose data are a boxed `T`.
///
/// A patch lists the states that it changes in `states` of [`patch!`](crate::patch). The loader
/// refuses a patch that lists an older version of a state than a patch that is active, and a
/// cumulative one that lacks a state of such a patch.
///
/// The data belong to the patch until they are taken out. They can be reached from callbacks
/// alone, whose [`Context`] is the proof that the loader's lock is held. Data still there when the
/// module is unloaded are leaked: [`take`](Self::take) them in `post_unpatch`.
///
/// # Examples
///
/// Version 2 takes over what version 1 left, in its own format:
///
/// ```ignore
/// // SAFETY: State 1 is the console's log level; version 1 is the number alone.
/// const OLD: State<c_int> = unsafe { State::new(1, 1) };
/// // SAFETY: As above; version 2 also says who set it.
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
    /// Version `version` of the state `id`, which is not 0.
    ///
    /// # Safety
    ///
    /// In every patch for the same kernel, of this author or another, in Rust or in C, the data
    /// of a state of this `id` and `version` must be NULL or a valid `T`, allocated as by
    /// [`KBox::new`], that no other pointer refers to.
    pub const unsafe fn new(id: c_ulong, version: c_uint) -> Self {
        assert!(id != 0, "0 ends the loader's list of states");
        Self {
            id,
            version,
            _data: PhantomData,
        }
    }

    /// As the loader knows it; used by [`patch!`](crate::patch).
    #[doc(hidden)]
    pub const fn entry(&self) -> klp_state {
        klp_state {
            id: self.id,
            version: self.version,
            data: ptr::null_mut(),
        }
    }

    /// The data.
    ///
    /// [`None`] if there are none, or if the patch does not list this state.
    #[inline]
    pub fn get<'a>(&self, cx: &'a Context<'_>) -> Option<&'a T> {
        let data = *self.data(self.own(cx))?;
        // SAFETY: A `T` by the contract of `new()`. What takes or replaces it asks for
        // `&mut Context`, of which there is no other than `cx`.
        unsafe { data.cast::<T>().as_ref() }
    }

    /// The data, to change.
    ///
    /// [`None`] if there are none, or if the patch does not list this state.
    #[inline]
    pub fn get_mut<'a>(&self, cx: &'a mut Context<'_>) -> Option<&'a mut T> {
        let data = *self.data(self.own(cx))?;
        // SAFETY: A `T` by the contract of `new()`. All that reaches it asks for the context, of
        // which there is no other than `cx`.
        unsafe { data.cast::<T>().as_mut() }
    }

    /// Stores `data`, and returns what was there before.
    ///
    /// # Errors
    ///
    /// `ENOENT`: the patch does not list this state.
    #[inline]
    pub fn set(&self, cx: &mut Context<'_>, data: KBox<T>) -> Result<Option<KBox<T>>> {
        let slot = self.data(self.own(cx)).ok_or(ENOENT)?;
        let old = Self::boxed(slot);
        *slot = KBox::into_raw(data).cast();
        Ok(old)
    }

    /// Takes the data out.
    #[inline]
    pub fn take(&self, cx: &mut Context<'_>) -> Option<KBox<T>> {
        Self::boxed(self.data(self.own(cx))?)
    }

    /// Takes the data out of the newest other patch that changes this state, if its version is
    /// this one.
    ///
    /// Only while this patch is being enabled. That patch may still win, for as long as the
    /// transition can be reversed: take its data in `post_patch`, not before.
    #[inline]
    pub fn take_prev(&self, _cx: &mut Context<'_>) -> Option<KBox<T>> {
        // SAFETY: Callbacks may call this; the context proves that this is one.
        Self::boxed(self.data(unsafe { abi::rlp_get_prev_state(self.id) })?)
    }

    /// The version in which the newest other patch that changes this state has it.
    ///
    /// Only while this patch is being enabled.
    #[inline]
    pub fn prev_version(&self, _cx: &Context<'_>) -> Option<c_uint> {
        // SAFETY: Callbacks may call this; the context proves that this is one. What it returns is
        // NULL or in a patch that stays while the lock is held.
        unsafe { abi::rlp_get_prev_state(self.id).as_ref() }.map(|state| state.version)
    }

    /// This state in the patch of the callback, or NULL.
    fn own(&self, cx: &Context<'_>) -> *mut klp_state {
        // SAFETY: The patch is the one that the loader is working on.
        unsafe { abi::rlp_get_state(cx.patch(), self.id) }
    }

    /// Where `state` has its data, if it is this version.
    ///
    /// `state` is NULL or what the loader returned in this callback.
    fn data<'a>(&self, state: *mut klp_state) -> Option<&'a mut *mut c_void> {
        // SAFETY: States live as long as the patch they are in, which stays while the loader's
        // lock is held; and with it held nobody else looks at them.
        unsafe { state.as_mut() }
            .filter(|state| state.version == self.version)
            .map(|state| &mut state.data)
    }

    /// Takes the box out of a slot of the right version.
    fn boxed(slot: &mut *mut c_void) -> Option<KBox<T>> {
        let data = core::mem::replace(slot, ptr::null_mut());
        if data.is_null() {
            return None;
        }
        // SAFETY: By the contract of `new()` these are the data of a box, and the slot, which had
        // the only pointer to them, is empty now.
        Some(unsafe { KBox::from_raw(data.cast()) })
    }
}
