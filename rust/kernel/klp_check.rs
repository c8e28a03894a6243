// SPDX-License-Identifier: GPL-2.0

//! Whether what a patch module says of itself can be read at all.
//!
//! A patch is part of the kernel, and trusted. But what leads nowhere, or has no end, is a mistake
//! that its author should read in the log of a machine that still runs: each structure, array and
//! name is asked for before it is followed. What they say is checked by who uses it.

use crate::{
    klp::{
        FuncDesc,
        ObjectDesc, //
    },
    module::{
        self,
        Module, //
    },
    nofault,
};
use core::ptr::NonNull;
use kernel::{ffi::c_char, prelude::*, str::CStr};
use rlp_bindings::{klp_func, klp_object, klp_patch, klp_state};

/// Entries of all its arrays together: one that has no end ends there.
const MAX_ENTRIES: usize = 1 << 18;
/// Bytes of a name. Those of symbols and modules have less; that is checked elsewhere.
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
        pr_err!("klp_enable_patch() was given no patch\n");
        return Err(EINVAL);
    }
    nofault::readable(patch).map_err(|e| {
        let (why, told) = explain(e);
        pr_err!("klp_enable_patch() was given a patch that {}\n", why);
        told
    })?;
    // SAFETY: It was just read. Any bits make a pointer.
    let (module, objs, states) = unsafe { ((*patch).mod_, (*patch).objs, (*patch).states) };
    if module.is_null() {
        pr_err!("a patch without a module\n");
        return Err(EINVAL);
    }
    // SAFETY: By the contract.
    let Some(module) = (unsafe { module::loaded_at(module) }) else {
        pr_err!("a patch whose module is none that is loaded\n");
        return Err(EINVAL);
    };
    let mut check = Check {
        patch: module.name(),
        left: MAX_ENTRIES,
    };
    check.objects(objs)?;
    check.states(states)?;
    Ok(module)
}

struct Check<'a> {
    patch: &'a CStr,
    left: usize,
}

impl Check<'_> {
    fn objects(&mut self, first: *const klp_object) -> Result {
        self.array(first, "an array of objects", |this, object| {
            // SAFETY: `array()` has read it.
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
            // SAFETY: `array()` has read it.
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
            // SAFETY: `array()` has read it.
            Ok(unsafe { (*state.as_ptr()).id } != 0)
        })
    }

    /// None is a matter for who needs one. `more` says whether `entry`, which can be read, was not
    /// the last.
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
            self.left = self
                .left
                .checked_sub(1)
                .ok_or_else(|| refuse(self.patch, what, E2BIG))?;
            entry = NonNull::new(entry.as_ptr().wrapping_add(1))
                .ok_or_else(|| refuse(self.patch, what, EFAULT))?;
        }
    }

    /// None, too, is a matter for who needs one.
    fn name(&self, name: *const c_char, what: &str) -> Result {
        if name.is_null() {
            return Ok(());
        }
        nofault::terminated(name.cast(), MAX_NAME_LEN).map_err(|e| refuse(self.patch, what, e))
    }
}

/// Says what is wrong with a part of it.
fn refuse(patch: &CStr, what: &str, error: Error) -> Error {
    let (why, told) = explain(error);
    pr_err!("patch '{}': {} {}\n", patch, what, why);
    told
}

/// What an error of [`nofault`] means, and what the module is told.
fn explain(error: Error) -> (&'static str, Error) {
    match error {
        EINVAL => ("is at an address that is not aligned", EINVAL),
        E2BIG => ("has no end", EINVAL),
        _ => ("is at an address where nothing can be read", EFAULT),
    }
}
