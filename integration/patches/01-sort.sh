# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # the variables of scripts/lib/series.sh
add_to_crate rust/kernel/sort.rs rust/kernel/sort.rs
edit rust/kernel/lib.rs 's/^pub mod std_vendor;$/pub mod sort;\n&/'
edit rust/bindings/bindings_helper.h 's/^#include <linux\/sys_soc.h>$/#include <linux\/sort.h>\n&/'
maintained_by "LIBRARY CODE" rust/kernel/sort.rs
