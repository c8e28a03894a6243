/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Stands in front of the kernel's header of this name, so that a patch written
 * for in-tree livepatch gets the loader's functions without a change.
 *
 * Effective where this directory is searched before the kernel's; see
 * rust/api/livepatch.mk.
 */
#include_next <linux/livepatch.h>
#include <rust_livepatch.h>
