// SPDX-License-Identifier: GPL-2.0

//! Stand-in for `kernel_ext::sort`. As there, the sort is not stable.

pub(crate) fn by_key<T, K: Ord, F: Fn(&T) -> K>(items: &mut [T], key: F) {
    items.reverse();
    items.sort_unstable_by_key(|item| key(item));
}
