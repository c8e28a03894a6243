/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Replaces the kernel's header of this name, so that a patch for in-tree
 * livepatch calls the loader's functions without a change.
 *
 * This directory must be searched before the kernel's; see rust/api/livepatch.mk.
 */
#include_next <linux/livepatch.h>
#include <rust_livepatch.h>
