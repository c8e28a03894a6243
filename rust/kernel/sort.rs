// SPDX-License-Identifier: GPL-2.0

//! Sorting in place with the kernel's own heap sort.
//!
//! The sort of `core` adds several kilobytes of code to each module. It also calls a function that
//! never returns, which objtool does not know.
//!
//! C header: [`include/linux/sort.h`](srctree/include/linux/sort.h)

use core::{
    cmp::Ordering,
    ffi::c_void, //
};
use kernel::ffi::c_int;

/// Sorts `items` by `key`. The sort is not stable, and allocates nothing.
///
/// # Context
///
/// May sleep.
///
/// # Examples
///
/// ```
/// use kernel_ext::sort;
///
/// let mut pairs = [(3, 'c'), (1, 'a'), (2, 'b')];
/// sort::by_key(&mut pairs, |&(number, _)| number);
/// assert_eq!(pairs, [(1, 'a'), (2, 'b'), (3, 'c')]);
/// # Ok::<(), Error>(())
/// ```
pub fn by_key<T, K: Ord, F: Fn(&T) -> K>(items: &mut [T], key: F) {
    /// # Safety
    ///
    /// `a` and `b` are elements of an array of `T`, and `key` is an `F`.
    unsafe extern "C" fn compare<T, K: Ord, F: Fn(&T) -> K>(
        a: *const c_void,
        b: *const c_void,
        key: *const c_void,
    ) -> c_int {
        // SAFETY: By the contract. sort_r() moves elements as a whole, and only between
        // comparisons.
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
