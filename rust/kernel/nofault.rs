// SPDX-License-Identifier: GPL-2.0

//! Whether memory can be read, asked without a fault.
//!
//! C header: [`include/linux/uaccess.h`](srctree/include/linux/uaccess.h)

use core::mem::MaybeUninit;
use kernel::{bindings, error::to_result, prelude::*};

/// Whether a `T` can be read at `ptr`. It says nothing of how long, nor of what is there.
///
/// Context: any.
///
/// # Errors
///
/// `EINVAL` for an address that is not aligned for a `T`; `EFAULT` or `ERANGE` for one where
/// nothing can be read.
pub(crate) fn readable<T>(ptr: *const T) -> Result {
    if !ptr.is_aligned() {
        return Err(EINVAL);
    }
    copy(ptr).map(|_| ())
}

/// Whether there is a string at `ptr` with its terminator among the first `most` bytes.
///
/// Context: any.
///
/// # Errors
///
/// `E2BIG` for one that is longer; `EFAULT` or `ERANGE` where it cannot be read.
pub(crate) fn terminated(ptr: *const u8, most: usize) -> Result {
    for at in 0..most {
        let byte = copy(ptr.wrapping_add(at))?;
        // SAFETY: Any bits make a byte, and these were copied.
        if unsafe { byte.assume_init() } == 0 {
            return Ok(());
        }
    }
    Err(E2BIG)
}

/// What is at `ptr`, which need not be a `T`. `EFAULT` or `ERANGE` where nothing can be read.
fn copy<T>(ptr: *const T) -> Result<MaybeUninit<T>> {
    let mut copy = MaybeUninit::<T>::uninit();
    // SAFETY: There is room for a `T`; the source may be any address.
    to_result(unsafe {
        bindings::copy_from_kernel_nofault(
            copy.as_mut_ptr().cast(),
            ptr.cast(),
            core::mem::size_of::<T>(),
        ) as core::ffi::c_int
    })?;
    Ok(copy)
}
