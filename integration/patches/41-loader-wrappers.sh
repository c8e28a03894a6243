# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # the variables of scripts/lib/series.sh
for file in $(own 'rust/kernel/*.rs'); do
	in_kernel_crate "$file" || add_rust "$file" "$loader/kernel_ext/${file##*/}"
done
edit_new $loader/kernel_ext/kernel_ext.rs 's/^pub mod (kobject|module_notifier|sort|tracepoint_probe);$/pub use kernel::\1;/
	s/^pub mod rcu_box;$/pub use kernel::sync::rcu_box;/'
maintained $loader/kernel_ext/
