// SPDX-License-Identifier: GPL-2.0

//! Stand-in for `kernel_ext::sort`. The kernel's sort is not stable, and this sort is not stable
//! either.

pub(crate) fn by_key<T, K: Ord, F: Fn(&T) -> K>(items: &mut [T], key: F) {
    items.reverse();
    items.sort_unstable_by_key(|item| key(item));
}
