/* SPDX-License-Identifier: GPL-2.0 */
/* A patch of moves_target. TAG is the version of its functions. */
#include <linux/livepatch.h>
#include <linux/module.h>
#include <rust_livepatch.h>

#include "moves.h"

static bool replace;
module_param(replace, bool, 0444);
MODULE_PARM_DESC(replace, "Replace all other patches (default: N)");

static MOVES_DEFINE_STEP(new_step, TAG)
static MOVES_DEFINE_SESSION(new_session, TAG)
static MOVES_DEFINE_INSIDE(new_inside, TAG)

static struct klp_func funcs[] = {
	{ .old_name = "moves_step", .new_func = new_step, },
	{ .old_name = "moves_session", .new_func = new_session, },
	{ .old_name = "moves_inside", .new_func = new_inside, },
	{ }
};

static struct klp_object objs[] = {
	{ .name = "moves_target", .funcs = funcs, },
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init patch_init(void)
{
	patch.replace = replace;
	return klp_enable_patch(&patch);
}

static void __exit patch_exit(void)
{
}

module_init(patch_init);
module_exit(patch_exit);
MODULE_DESCRIPTION("Transition tests: a patch of moves_target");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
