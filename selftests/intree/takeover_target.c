// SPDX-License-Identifier: GPL-2.0
/* The target module of takeover_patch. A read of /proc/takeover_target returns "original". */
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>

static bool fail;
module_param(fail, bool, 0444);
MODULE_PARM_DESC(fail, "The init function fails (default: N)");

const char *takeover_secret(void);

/* Not exported: another module can call it only through a livepatch relocation. */
noinline const char *takeover_secret(void)
{
	return "with the target's secret";
}

static noinline int takeover_show(struct seq_file *m, void *v)
{
	seq_puts(m, "original\n");
	return 0;
}

static int __init takeover_target_init(void)
{
	if (fail) {
		pr_info("%s: %s\n", KBUILD_MODNAME, takeover_secret());
		return -ENODEV;
	}
	if (!proc_create_single("takeover_target", 0444, NULL, takeover_show))
		return -ENOMEM;
	return 0;
}
module_init(takeover_target_init);

static void __exit takeover_target_exit(void)
{
	remove_proc_entry("takeover_target", NULL);
}
module_exit(takeover_target_exit);

MODULE_DESCRIPTION("Selftest: the target module of a converted patch");
MODULE_LICENSE("GPL");
