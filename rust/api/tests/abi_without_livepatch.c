// SPDX-License-Identifier: GPL-2.0
/*
 * As abi.c, with the structures that <rust_livepatch.h> defines for a kernel
 * without livepatch; and a patch that is written for in-tree livepatch.
 */

#undef CONFIG_LIVEPATCH
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/livepatch.h>
#include "abi.c"

static struct klp_func funcs[] = { { .old_name = "old", .new_func = funcs, }, { } };
static struct klp_object objs[] = { { .funcs = funcs, }, { } };
static struct klp_state states[] = { { .id = 1, .version = 1, }, { } };
static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objs, .states = states, };

static int __init patch_init(void)
{
	struct klp_object *obj;
	struct klp_func *func;

	klp_for_each_object_static((&patch), obj) {
		klp_for_each_func_static(obj, func)
			pr_info("%s\n", func->old_name);
	}
	klp_shadow_free(klp_shadow_get(&patch, 1), 1, NULL);
	klp_shadow_free_all((unsigned long)klp_get_prev_state(1), NULL);
	klp_shadow_alloc(&patch, 1, 1, GFP_KERNEL, NULL, NULL);
	klp_shadow_get_or_alloc(klp_get_state(&patch, 1), 1, 1, GFP_KERNEL, NULL, NULL);
	return klp_enable_patch(&patch);
}
module_init(patch_init);

MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
