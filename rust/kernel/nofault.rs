// SPDX-License-Identifier: GPL-2.0

//! Checking whether memory can be read, without a fault.
//!
//! C header: [`include/linux/uaccess.h`](srctree/include/linux/uaccess.h)

use core::mem::MaybeUninit;
use kernel::{
    bindings,
    error::to_result,
    prelude::*, //
};

/// Checks that a `T` can be read at `ptr`. The memory may hold any value, and may be freed at any
/// time unless the caller excludes that.
///
/// # Context
///
/// Any.
///
/// # Errors
///
/// `EINVAL` if the address is not aligned for a `T`; `EFAULT` or `ERANGE` if it cannot be read.
pub(crate) fn readable<T>(ptr: *const T) -> Result {
    if !ptr.is_aligned() {
        return Err(EINVAL);
    }
    copy(ptr).map(|_| ())
}

/// Checks that there is a string at `ptr` with its terminator in the first `max` bytes.
///
/// # Context
///
/// Any.
///
/// # Errors
///
/// `E2BIG` if the string is longer; `EFAULT` or `ERANGE` if it cannot be read.
pub(crate) fn terminated(ptr: *const u8, max: usize) -> Result {
    for at in 0..max {
        let byte = copy(ptr.wrapping_add(at))?;
        // SAFETY: The byte was copied, and is valid with any bits.
        if unsafe { byte.assume_init() } == 0 {
            return Ok(());
        }
    }
    Err(E2BIG)
}

/// Returns a copy of the string at `ptr`, whose terminator is in the first `max` bytes. The copy
/// has no terminator.
///
/// # Context
///
/// May sleep.
///
/// # Errors
///
/// Those of [`terminated`], and `ENOMEM`.
pub(crate) fn string(ptr: *const u8, max: usize) -> Result<KVVec<u8>> {
    let mut bytes = KVVec::new();
    for at in 0..max {
        let byte = copy(ptr.wrapping_add(at))?;
        // SAFETY: The byte was copied, and is valid with any bits.
        let byte = unsafe { byte.assume_init() };
        if byte == 0 {
            return Ok(bytes);
        }
        bytes.push(byte, GFP_KERNEL)?;
    }
    Err(E2BIG)
}

/// Copies the memory at `ptr`, which need not hold a valid `T`.
///
/// # Errors
///
/// `EFAULT` or `ERANGE` if the memory cannot be read.
fn copy<T>(ptr: *const T) -> Result<MaybeUninit<T>> {
    let mut copy = MaybeUninit::<T>::uninit();
    // SAFETY: The destination has room for a `T`; the source may be any address.
    to_result(unsafe {
        bindings::copy_from_kernel_nofault(
            copy.as_mut_ptr().cast(),
            ptr.cast(),
            core::mem::size_of::<T>(),
        ) as core::ffi::c_int
    })?;
    Ok(copy)
}
