// SPDX-License-Identifier: GPL-2.0
/*
 * A first patch in C: one function of the kernel itself.
 *
 * With the patch, /proc/cmdline reads "this has been live patched". The same
 * source builds for in-tree livepatch if it includes <linux/livepatch.h> instead
 * of <rust_livepatch.h>. A build for this loader may include <linux/livepatch.h>,
 * too.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/seq_file.h>
#include <rust_livepatch.h>

static int show(struct seq_file *m, void *v)
{
	seq_puts(m, "this has been live patched\n");
	return 0;
}

static struct klp_func funcs[] = {
	{ .old_name = "cmdline_proc_show", .new_func = show, },
	{ }
};

static struct klp_object objs[] = {
	{ .name = NULL /* vmlinux */, .funcs = funcs, },
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init cmdline_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit cmdline_exit(void)
{
}

module_init(cmdline_init);
module_exit(cmdline_exit);
MODULE_DESCRIPTION("Live patch sample: /proc/cmdline, in C");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
