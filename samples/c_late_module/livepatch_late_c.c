// SPDX-License-Identifier: GPL-2.0
/*
 * A patch in C for a module that is loaded before or after the patch.
 *
 * livepatch_sample_target may be loaded and unloaded at any time. If it is loaded
 * after the patch, it is patched before its first instruction runs. With the
 * patch, /proc/livepatch_sample/greeting reads "greetings from C".
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <rust_livepatch.h>

static int greeting_show(struct seq_file *m, void *v)
{
	seq_puts(m, "greetings from C\n");
	return 0;
}

static struct klp_func funcs[] = {
	{ .old_name = "greeting_show", .new_func = greeting_show, },
	{ }
};

static struct klp_object objs[] = {
	{ .name = "livepatch_sample_target", .funcs = funcs, },
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init late_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit late_exit(void)
{
}

module_init(late_init);
module_exit(late_exit);
MODULE_DESCRIPTION("Live patch sample: a module that is loaded later, in C");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
