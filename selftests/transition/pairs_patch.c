// SPDX-License-Identifier: GPL-2.0
/*
 * The patch of pairs_target. selftests/intree/pairs_intree.c includes this file, to build the
 * same patch for in-tree livepatch.
 */
#include <linux/livepatch.h>
#include <linux/module.h>

#include "pairs.h"

PAIRS_DEFINE(new_first, 1)
PAIRS_DEFINE(new_second, 1)
PAIRS_DEFINE_HOLD(new_hold)

static struct klp_func funcs[] = {
	{ .old_name = "pairs_first", .new_func = new_first, },
	{ .old_name = "pairs_second", .new_func = new_second, },
	{ .old_name = "pairs_hold", .new_func = new_hold, },
	{ }
};

static struct klp_object objs[] = {
	{ .name = "pairs_target", .funcs = funcs, },
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init patch_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit patch_exit(void)
{
}

module_init(patch_init);
module_exit(patch_exit);
MODULE_DESCRIPTION("Transition tests: the patch of both calls of each pair");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
