// SPDX-License-Identifier: GPL-2.0
/*
 * A patch whose replacements sleep. test-cold.sh then loads a patch for a function that the
 * sleeping task has not left. The task's stack may have no address in the symbol of that function:
 *
 *	vprintk()	of vmlinux. The replacement sleeps if the name of the task is "rlp-cold".
 *			The .cold part of drop_caches_sysctl_handler() logs a line, so a task can
 *			sleep below that part.
 *	one_show()	of rlp_target. The replacement sleeps below its .cold part.
 *	two_show()	of rlp_target. The replacement calls a function by a tail call. That
 *			function calls another one by a tail call, which sleeps.
 *	sleep_show()	of rlp_target. The replacement calls another function of this module,
 *			which sleeps.
 *
 * Module parameters:
 *
 * awake=N		tasks sleep until awake=Y
 * sleepers		the number of tasks that sleep
 */
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/string.h>

#define AWAKE_AT_FIRST true
#include "../lib/rlp_sleepers.h"

/* The compiler does not know the result of a function that returns this. */
static int zero;

static int new_vprintk(const char *fmt, va_list args)
{
	if (in_task() && !irqs_disabled() && !strcmp(current->comm, "rlp-cold"))
		sleep_until_awake();
	return vprintk_emit(0, LOGLEVEL_DEFAULT, NULL, fmt, args);
}

/* The compiler treats a branch that calls this function as unlikely. */
static noinline __cold void cold_sleep(void)
{
	sleep_until_awake();
}

static int new_one_show(struct seq_file *m, void *v)
{
	if (!READ_ONCE(awake))
		cold_sleep();
	seq_puts(m, "new one\n");
	return 0;
}

static noinline __noclone int tail_sleep(struct seq_file *m, void *v)
{
	sleep_until_awake();
	seq_puts(m, "two\n");
	return READ_ONCE(zero);
}

static noinline __noclone int tail(struct seq_file *m, void *v)
{
	seq_puts(m, "new ");
	return tail_sleep(m, v);
}

static int new_two_show(struct seq_file *m, void *v)
{
	return tail(m, v);
}

static noinline __noclone void other_sleep(void)
{
	sleep_until_awake();
}

static int new_sleep_show(struct seq_file *m, void *v)
{
	other_sleep();
	seq_puts(m, "new sleep\n");
	return 0;
}

static struct klp_func vmlinux_funcs[] = {
	{ .old_name = "vprintk", .new_func = new_vprintk },
	{ }
};

static struct klp_func target_funcs[] = {
	{ .old_name = "one_show", .new_func = new_one_show },
	{ .old_name = "two_show", .new_func = new_two_show },
	{ .old_name = "sleep_show", .new_func = new_sleep_show },
	{ }
};

static struct klp_object objs[] = {
	{ .funcs = vmlinux_funcs },
	{ .name = "rlp_target", .funcs = target_funcs },
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init rlp_cold_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit rlp_cold_exit(void)
{
}

module_init(rlp_cold_init);
module_exit(rlp_cold_exit);
MODULE_DESCRIPTION("Selftest: a patch whose functions sleep outside of their symbols");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
