// SPDX-License-Identifier: GPL-2.0
/* Triggers a kernel warning each time that it is loaded. */
#include <linux/module.h>

static int __init warn_init(void)
{
	WARN(1, "rlp_warn: on purpose\n");
	return 0;
}

static void __exit warn_exit(void)
{
}

module_init(warn_init);
module_exit(warn_exit);
MODULE_DESCRIPTION("Selftest: a warning in the kernel's log");
MODULE_LICENSE("GPL");
