// SPDX-License-Identifier: GPL-2.0
/*
 * A patch with all that a patch can have: functions of vmlinux, of a module that
 * is there and of one that comes later, callbacks, and shadow variables. It warns
 * if callbacks do not come in pairs, or if a variable outlives the patch.
 *
 * The functions print what their object's shadow variable holds, "patched".
 *
 * taken=Y	the first shadow variable is there already, and the patch fails
 */
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

enum { SAYS, EXTRA };

static bool taken;
module_param(taken, bool, 0444);

static struct klp_object objs[];

static int say(struct seq_file *m, struct klp_object *obj)
{
	const char **says = klp_shadow_get(obj, SAYS);

	seq_printf(m, "%s\n", says ? *says : "no shadow variable");
	return 0;
}

static int cmdline_show(struct seq_file *m, void *v)
{
	return say(m, &objs[0]);
}

static int target_show(struct seq_file *m, void *v)
{
	return say(m, &objs[1]);
}

static int late_show(struct seq_file *m, void *v)
{
	return say(m, &objs[2]);
}

/* Between the return of pre_patch() and post_unpatch(). */
static bool prepared[3];

static int pre_patch(struct klp_object *obj)
{
	const char **says;

	WARN_ON(prepared[obj - objs]);
	says = klp_shadow_alloc(obj, SAYS, sizeof(*says), GFP_KERNEL, NULL, NULL);
	if (!says)
		return -ENOMEM;
	*says = "patched";
	prepared[obj - objs] = true;
	return 0;
}

/* This one may be missing. It is called again if disabling fails. */
static void post_patch(struct klp_object *obj)
{
	WARN_ON(!prepared[obj - objs]);
	klp_shadow_get_or_alloc(obj, EXTRA, 64, GFP_KERNEL, NULL, NULL);
}

static void pre_unpatch(struct klp_object *obj)
{
	WARN_ON(!prepared[obj - objs]);
	klp_shadow_free(obj, EXTRA, NULL);
}

static void post_unpatch(struct klp_object *obj)
{
	WARN_ON(!prepared[obj - objs]);
	prepared[obj - objs] = false;
	klp_shadow_free(obj, SAYS, NULL);
}

#define CALLBACKS {				\
	.pre_patch = pre_patch,			\
	.post_patch = post_patch,		\
	.pre_unpatch = pre_unpatch,		\
	.post_unpatch = post_unpatch,		\
}

static struct klp_object objs[] = {
	{
		.callbacks = CALLBACKS,
		.funcs = (struct klp_func[]) {
			{ .old_name = "cmdline_proc_show", .new_func = cmdline_show },
			{ }
		},
	}, {
		.name = "rlp_target",
		.callbacks = CALLBACKS,
		.funcs = (struct klp_func[]) {
			{ .old_name = "one_show", .new_func = target_show },
			{ .old_name = "sleep_show", .new_func = target_show },
			{ }
		},
	}, {
		.name = "livepatch_sample_target",
		.callbacks = CALLBACKS,
		.funcs = (struct klp_func[]) {
			{ .old_name = "greeting_show", .new_func = late_show },
			{ }
		},
	},
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static void check_clean(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(prepared); i++) {
		WARN_ON(prepared[i]);
		WARN_ON(klp_shadow_get(&objs[i], SAYS));
		WARN_ON(klp_shadow_get(&objs[i], EXTRA));
	}
}

static int __init patch_init(void)
{
	int ret;

	if (taken)
		klp_shadow_alloc(&objs[0], SAYS, 0, GFP_KERNEL, NULL, NULL);
	ret = klp_enable_patch(&patch);
	if (taken)
		klp_shadow_free(&objs[0], SAYS, NULL);
	if (ret)
		check_clean();
	return ret;
}

static void __exit patch_exit(void)
{
	check_clean();
}

module_init(patch_init);
module_exit(patch_exit);
MODULE_DESCRIPTION("Selftest: a patch with all that there is");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
