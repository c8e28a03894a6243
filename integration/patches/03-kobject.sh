# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # the variables of scripts/lib/series.sh
add_to_crate rust/kernel/kobject.rs rust/kernel/kobject.rs
edit rust/kernel/lib.rs '0,/^#\[cfg\(CONFIG_KUNIT\)\]$/s//#[cfg(CONFIG_SYSFS)]\npub mod kobject;\n&/'
edit rust/bindings/bindings_helper.h 's/^#include <linux\/mdio.h>$/#include <linux\/kernfs.h>\n#include <linux\/kobject.h>\n&/
	s/^#include <linux\/task_work.h>$/#include <linux\/sysfs.h>\n&/'
maintained_by "DRIVER CORE, KOBJECTS, DEBUGFS AND SYSFS" rust/kernel/kobject.rs
