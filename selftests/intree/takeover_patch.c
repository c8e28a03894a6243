// SPDX-License-Identifier: GPL-2.0
/*
 * A patch that was not written for this loader. It calls a function of its target that
 * is not exported. klp-relocate converts this reference into a livepatch relocation, which
 * is applied when the target is loaded. The symbol is weak: without klp-relocate its
 * address is NULL.
 */
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

extern const char *takeover_secret(void) __weak;

static int livepatch_show(struct seq_file *m, void *v)
{
	seq_printf(m, "patched %s\n", takeover_secret ? takeover_secret() : "alone");
	return 0;
}

static int pre_patch(struct klp_object *obj)
{
	int *count = klp_shadow_get_or_alloc(THIS_MODULE, 1, sizeof(*count), GFP_KERNEL,
					     NULL, NULL);

	pr_info("%s: attempt %d for %s\n", KBUILD_MODNAME, count ? ++*count : 0, obj->name);
	return 0;
}

static void post_unpatch(struct klp_object *obj)
{
	klp_shadow_free_all(1, NULL);
}

static struct klp_func funcs[] = {
	{ .old_name = "takeover_show", .new_func = livepatch_show, },
	{ }
};

static struct klp_object objs[] = {
	{
		.name = "takeover_target",
		.funcs = funcs,
		.callbacks = { .pre_patch = pre_patch, .post_unpatch = post_unpatch, },
	},
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

/* A write enables the patch once more. Only the tests of this loader use it. */
static int again_set(const char *val, const struct kernel_param *kp)
{
	return THIS_MODULE->state == MODULE_STATE_LIVE ? klp_enable_patch(&patch) : -ENOEXEC;
}

static const struct kernel_param_ops again_ops = {
	.set = again_set,
};
module_param_cb(again, &again_ops, NULL, 0200);

static int __init takeover_patch_init(void)
{
	return klp_enable_patch(&patch);
}
module_init(takeover_patch_init);

static void __exit takeover_patch_exit(void)
{
}
module_exit(takeover_patch_exit);

MODULE_DESCRIPTION("Selftest: a patch for in-tree livepatch");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
