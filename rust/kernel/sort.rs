// SPDX-License-Identifier: GPL-2.0

//! Sorting in place with the kernel's own heap sort.
//!
//! `core`'s sort brings several kilobytes of code into each module, and ends in a function that
//! objtool does not know never to return.
//!
//! C header: [`include/linux/sort.h`](srctree/include/linux/sort.h)

use core::{cmp::Ordering, ffi::c_void};
use kernel::ffi::c_int;

/// Sorts `items` by `key`. Not stable. Context: may sleep; nothing is allocated.
pub fn by_key<T, K: Ord, F: Fn(&T) -> K>(items: &mut [T], key: F) {
    /// # Safety
    ///
    /// `a` and `b` are elements of an array of `T`, and `key` is an `F`.
    unsafe extern "C" fn compare<T, K: Ord, F: Fn(&T) -> K>(
        a: *const c_void,
        b: *const c_void,
        key: *const c_void,
    ) -> c_int {
        // SAFETY: sort_r() passes two elements of the array, which it moves as a whole between
        // comparisons, and the closure that `by_key()` lent it.
        let (a, b, key) = unsafe { (&*a.cast::<T>(), &*b.cast::<T>(), &*key.cast::<F>()) };
        match key(a).cmp(&key(b)) {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        }
    }
    // SAFETY: The array is exclusively borrowed and has this many elements of this size.
    unsafe {
        rlp_bindings::sort_r(
            items.as_mut_ptr().cast(),
            items.len(),
            size_of::<T>(),
            Some(compare::<T, K, F>),
            None,
            (&raw const key).cast(),
        );
    }
}
