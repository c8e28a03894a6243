// SPDX-License-Identifier: GPL-2.0
/*
 * A loader that makes the machine panic, for loader.sh. The test replaces the name in the file by
 * that of the loader, which has the same length.
 */
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/module.h>

static int __init dead_init(void)
{
	panic("dead_livepatch: a loader that panics\n");
	return 0;
}

module_init(dead_init);
MODULE_DESCRIPTION("Selftest: a loader that panics");
MODULE_LICENSE("GPL");
