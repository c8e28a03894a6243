// SPDX-License-Identifier: GPL-2.0
/*
 * The patch "fix" of Documentation/operating.rst. operate.sh runs the commands of that document.
 *
 *	pause(2)	fails with EPERM. A task that has called it before the patch was
 *			loaded sleeps there until a signal arrives, and blocks the
 *			transition
 *	pktgen		/proc/net/pktgen/pgctrl reads "fixed"
 */
#include <linux/module.h>
#include <linux/seq_file.h>
#include <rust_livepatch.h>

static long fixed_pause(void)
{
	return -EPERM;
}

static int fixed_show(struct seq_file *m, void *v)
{
	seq_puts(m, "fixed\n");
	return 0;
}

static struct klp_func vmlinux_funcs[] = {
	{ .old_name = "__x64_sys_pause", .new_func = fixed_pause, },
	{ }
};

static struct klp_func pktgen_funcs[] = {
	{ .old_name = "pgctrl_show", .new_func = fixed_show, },
	{ }
};

static struct klp_object objs[] = {
	{ .name = NULL /* vmlinux */, .funcs = vmlinux_funcs, },
	{ .name = "pktgen", .funcs = pktgen_funcs, },
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init fix_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit fix_exit(void)
{
}

module_init(fix_init);
module_exit(fix_exit);
MODULE_DESCRIPTION("Selftest: the patch of operating.rst");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
RLP_INFO(level, "7");
RLP_INFO(cves, "CVE-2026-0001 CVE-2026-0002");
