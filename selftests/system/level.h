/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The patch of level LEVEL: cumulative, as the patch of each level is. /proc/version reads
 * "level LEVEL". FIXED has the CVEs that it fixes.
 *
 * TARGET: the patch also replaces sleep_show() of the module rlp_target.
 * ON_INIT, ON_EXIT: what the module does after its patch was enabled, and when it is unloaded.
 */
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/stringify.h>
#include <rust_livepatch.h>

static int level_show(struct seq_file *m, void *v)
{
	seq_puts(m, "level " __stringify(LEVEL) "\n");
	return 0;
}

static struct klp_func funcs[] = {
	{ .old_name = "version_proc_show", .new_func = level_show, },
	{ }
};

#ifdef TARGET
static struct klp_func target_funcs[] = {
	{ .old_name = "sleep_show", .new_func = level_show, },
	{ }
};
#endif

static struct klp_object objs[] = {
	{ .name = NULL /* vmlinux */, .funcs = funcs, },
#ifdef TARGET
	{ .name = "rlp_target", .funcs = target_funcs, },
#endif
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
	.replace = true,
};

static int __init level_init(void)
{
	int err = klp_enable_patch(&patch);

#ifdef ON_INIT
	if (!err)
		ON_INIT;
#endif
	return err;
}

static void __exit level_exit(void)
{
#ifdef ON_EXIT
	ON_EXIT;
#endif
}

module_init(level_init);
module_exit(level_exit);
MODULE_DESCRIPTION("Selftest: the patch of a level");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
RLP_INFO(level, __stringify(LEVEL));
RLP_INFO(cves, FIXED);
