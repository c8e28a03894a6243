// SPDX-License-Identifier: GPL-2.0
/*
 * A patch that uses all features: functions of vmlinux, of a loaded module and of a
 * late module, callbacks, and shadow variables. It warns if callbacks are not called in
 * pairs, and if a shadow variable outlives the patch.
 *
 * The functions print the text in their object's shadow variable, "patched".
 *
 * taken=Y	the first shadow variable exists already, so enabling the patch fails
 */
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

enum { MESSAGE, EXTRA };

static bool taken;
module_param(taken, bool, 0444);

static struct klp_object objs[];

static int show_message(struct seq_file *m, struct klp_object *obj)
{
	const char **message = klp_shadow_get(obj, MESSAGE);

	seq_printf(m, "%s\n", message ? *message : "no shadow variable");
	return 0;
}

static int cmdline_show(struct seq_file *m, void *v)
{
	return show_message(m, &objs[0]);
}

static int target_show(struct seq_file *m, void *v)
{
	return show_message(m, &objs[1]);
}

static int late_show(struct seq_file *m, void *v)
{
	return show_message(m, &objs[2]);
}

/* Objects whose pre_patch() has succeeded and whose post_unpatch() was not called yet. */
static bool prepared[3];

static int pre_patch(struct klp_object *obj)
{
	const char **message;

	WARN_ON(prepared[obj - objs]);
	message = klp_shadow_alloc(obj, MESSAGE, sizeof(*message), GFP_KERNEL, NULL, NULL);
	if (!message)
		return -ENOMEM;
	*message = "patched";
	prepared[obj - objs] = true;
	return 0;
}

/*
 * The second shadow variable is optional. This callback is called again if disabling
 * fails.
 */
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
	klp_shadow_free(obj, MESSAGE, NULL);
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
		WARN_ON(klp_shadow_get(&objs[i], MESSAGE));
		WARN_ON(klp_shadow_get(&objs[i], EXTRA));
	}
}

static int __init patch_init(void)
{
	int ret;

	if (taken)
		klp_shadow_alloc(&objs[0], MESSAGE, 0, GFP_KERNEL, NULL, NULL);
	ret = klp_enable_patch(&patch);
	if (taken)
		klp_shadow_free(&objs[0], MESSAGE, NULL);
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
MODULE_DESCRIPTION("Selftest: a patch that uses all features");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
