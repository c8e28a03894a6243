# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # the variables of scripts/lib/series.sh
add_to_crate rust/kernel/module_notifier.rs rust/kernel/module_notifier.rs
edit rust/kernel/lib.rs 's/^pub mod module_param;$/#[cfg(CONFIG_MODULES)]\npub mod module_notifier;\n&/'
maintained_by "MODULE SUPPORT" rust/kernel/module_notifier.rs
