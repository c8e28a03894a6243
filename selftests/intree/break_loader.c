// SPDX-License-Identifier: GPL-2.0
/*
 * A live patch for in-tree livepatch that breaks this loader: two functions of the loader
 * return NULL from then on. It shows that the upstream suite, as it is run here, detects a
 * broken loader.
 */
#include <linux/livepatch.h>
#include <linux/module.h>

static void *broken_shadow_get(void *obj, unsigned long id)
{
	return NULL;
}

static struct klp_state *broken_get_prev_state(unsigned long id)
{
	return NULL;
}

static struct klp_func funcs[] = {
	{ .old_name = "rlp_shadow_get", .new_func = broken_shadow_get, },
	{ .old_name = "rlp_get_prev_state", .new_func = broken_get_prev_state, },
	{ }
};

static struct klp_object objs[] = {
	{
		.name = IS_BUILTIN(CONFIG_RUST_LIVEPATCH) ? NULL : "rust_livepatch",
		.funcs = funcs,
	},
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init break_loader_init(void)
{
	return klp_enable_patch(&patch);
}
module_init(break_loader_init);

/* Never unloaded: the guest ends with the test. */
MODULE_DESCRIPTION("Selftest: a loader that is broken on purpose");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
