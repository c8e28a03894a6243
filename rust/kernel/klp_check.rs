// SPDX-License-Identifier: GPL-2.0

//! Checking that the description of a patch can be read.
//!
//! A patch is part of the kernel, and is trusted. Still, the author may have made a mistake, such
//! as a wrong pointer, or an array without an end. The machine should then keep running, with the
//! mistake in its log. So each structure, array and name is checked before it is followed. Their
//! contents are checked where they are used.

use crate::{
    klp::{
        FuncDesc,
        ObjectDesc, //
    },
    module::{
        self,
        Module, //
    },
    nofault, //
};
use core::ptr::NonNull;
use kernel::{
    ffi::c_char,
    prelude::*,
    str::CStr, //
};
use rlp_bindings::{
    klp_func,
    klp_object,
    klp_patch,
    klp_state, //
};

/// The maximum number of entries of all arrays together. An array without an end is refused when
/// this number is exceeded.
const MAX_ENTRIES: usize = 1 << 18;
/// The maximum size of a name in bytes. The smaller limits for symbols and modules are checked
/// elsewhere.
const MAX_NAME_LEN: usize = 4096;

/// Reads all of `patch` once, and returns its module.
///
/// # Context
///
/// May sleep.
///
/// # Errors
///
/// `EFAULT` or `EINVAL`, with a line in the log.
///
/// # Safety
///
/// If the patch's module is loaded, it stays loaded for `'a`.
pub(crate) unsafe fn check<'a>(patch: *const klp_patch) -> Result<Module<'a>> {
    if patch.is_null() {
        pr_err!("klp_enable_patch() was called with a NULL pointer\n");
        return Err(EINVAL);
    }
    nofault::readable(patch).map_err(|e| {
        let (why, error) = explain(e);
        pr_err!("klp_enable_patch() was called with a patch that {}\n", why);
        error
    })?;
    // SAFETY: The structure was just read. A pointer is valid with any bits.
    let (module, objs, states) = unsafe { ((*patch).mod_, (*patch).objs, (*patch).states) };
    if module.is_null() {
        pr_err!("klp_enable_patch() was called with a patch that has no module\n");
        return Err(EINVAL);
    }
    // SAFETY: By the contract.
    let Some(module) = (unsafe { module::loaded_at(module) }) else {
        pr_err!("klp_enable_patch() was called with a patch whose module is not loaded\n");
        return Err(EINVAL);
    };
    let mut check = Check {
        patch: module.name(),
        entries_left: MAX_ENTRIES,
    };
    check.objects(objs)?;
    check.states(states)?;
    Ok(module)
}

struct Check<'a> {
    patch: &'a CStr,
    entries_left: usize,
}

impl Check<'_> {
    fn objects(&mut self, first: *const klp_object) -> Result {
        self.array(first, "an array of objects", |this, object| {
            // SAFETY: `array()` has read the entry.
            let (name, funcs) = unsafe { ((*object.as_ptr()).name, (*object.as_ptr()).funcs) };
            // SAFETY: As above.
            if unsafe { ObjectDesc::is_end(object) } {
                return Ok(false);
            }
            this.name(name, "an object's name")?;
            this.funcs(funcs)?;
            Ok(true)
        })
    }

    fn funcs(&mut self, first: *const klp_func) -> Result {
        self.array(first, "an array of functions", |this, func| {
            // SAFETY: `array()` has read the entry.
            if unsafe { FuncDesc::is_end(func) } {
                return Ok(false);
            }
            // SAFETY: As above.
            this.name(unsafe { (*func.as_ptr()).old_name }, "a function's name")?;
            Ok(true)
        })
    }

    fn states(&mut self, first: *const klp_state) -> Result {
        self.array(first, "the array of states", |_, state| {
            // SAFETY: `array()` has read the entry.
            Ok(unsafe { (*state.as_ptr()).id } != 0)
        })
    }

    /// Checks an array. `more` is called with each entry, which can be read, and returns false for
    /// the entry that ends the array.
    ///
    /// A NULL pointer is accepted here; callers that need an array check for it.
    ///
    /// # Errors
    ///
    /// `EFAULT` or `EINVAL`, with a line in the log, and those of `more`.
    fn array<T>(
        &mut self,
        first: *const T,
        what: &str,
        mut more: impl FnMut(&mut Self, NonNull<T>) -> Result<bool>,
    ) -> Result {
        let Some(mut entry) = NonNull::new(first.cast_mut()) else {
            return Ok(());
        };
        loop {
            nofault::readable(entry.as_ptr()).map_err(|e| refuse(self.patch, what, e))?;
            if !more(self, entry)? {
                return Ok(());
            }
            self.entries_left = self
                .entries_left
                .checked_sub(1)
                .ok_or_else(|| refuse(self.patch, what, E2BIG))?;
            entry = NonNull::new(entry.as_ptr().wrapping_add(1))
                .ok_or_else(|| refuse(self.patch, what, EFAULT))?;
        }
    }

    /// Checks a name. A NULL pointer is accepted here; callers that need a name check for it.
    ///
    /// # Errors
    ///
    /// `EFAULT` or `EINVAL`, with a line in the log.
    fn name(&self, name: *const c_char, what: &str) -> Result {
        if name.is_null() {
            return Ok(());
        }
        nofault::terminated(name.cast(), MAX_NAME_LEN).map_err(|e| refuse(self.patch, what, e))
    }
}

/// Logs what is wrong with a part of the patch, and returns the error for its module.
fn refuse(patch: &CStr, what: &str, error: Error) -> Error {
    let (why, error) = explain(error);
    pr_err!("patch '{}': {} {}\n", patch, what, why);
    error
}

/// Returns the meaning of an error of [`nofault`], and the error for the patch's module.
fn explain(error: Error) -> (&'static str, Error) {
    match error {
        EINVAL => ("is at an unaligned address", EINVAL),
        E2BIG => ("is not terminated", EINVAL),
        _ => ("is at an address that cannot be read", EFAULT),
    }
}
