// SPDX-License-Identifier: GPL-2.0
/*
 * The target module of the tests' patches. A read of a file in /proc/rlp_target/ calls
 * one function, which prints a line:
 *
 *	one, two	static functions
 *	twin1, twin2	two functions with the same name, in two source files
 *	sleep		a function that sleeps until awake=Y. It blocks a
 *			transition: only a fatal signal interrupts its sleep
 *	cold		a function whose unlikely part calls a function that sleeps.
 *			The compiler moves the unlikely part to the symbol
 *			cold_show.cold. With awake=Y there is no sleep
 *	notrace		a function without an fentry site. A function without a symbol
 *			follows it in memory, and has a site
 *
 * Module parameters:
 *
 * init_ret=ERRNO	the return value of the init function
 * init_sleep=Y		the init function sleeps until awake=Y
 * awake=Y		ends the sleep of the init function, of "sleep" and of "cold"
 * at_init		the line that "one" printed when the init function called it
 * sleepers		the number of tasks that sleep in "sleep" and "cold"
 * sched_switch_users	the number of probes on the tracepoint sched_switch
 */
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/tracepoint.h>

#define AWAKE_AT_FIRST false
#include "rlp_sleepers.h"
#include "rlp_target.h"

static int init_ret;
module_param(init_ret, int, 0444);

static bool init_sleep;
module_param(init_sleep, bool, 0444);

static char at_init[64];
module_param_string(at_init, at_init, sizeof(at_init), 0444);

static void count_users(struct tracepoint *tp, void *count)
{
	const struct tracepoint_func *func;

	if (strcmp(tp->name, "sched_switch"))
		return;
	guard(preempt_notrace)();
	for (func = rcu_dereference_raw(tp->funcs); func && func->func; func++)
		++*(int *)count;
}

static int sched_switch_users_get(char *buf, const struct kernel_param *kp)
{
	int count = 0;

	for_each_kernel_tracepoint(count_users, &count);
	return sysfs_emit(buf, "%d\n", count);
}

static const struct kernel_param_ops sched_switch_users_ops = {
	.get = sched_switch_users_get,
};
module_param_cb(sched_switch_users, &sched_switch_users_ops, NULL, 0444);

/* Patches find it by this name. Without __used, clang would keep only the alias. */
static noinline __noclone int __used one_show(struct seq_file *m, void *v)
{
	seq_puts(m, "one\n");
	return 0;
}

/* Another name for the same function. */
static int __used alias_show(struct seq_file *m, void *v) __alias(one_show);

static noinline __noclone int two_show(struct seq_file *m, void *v)
{
	seq_puts(m, "two\n");
	return 0;
}

static noinline __noclone int twin_show(struct seq_file *m, void *v)
{
	seq_puts(m, "first twin\n");
	return 0;
}

static noinline __noclone int sleep_show(struct seq_file *m, void *v)
{
	sleep_until_awake();
	seq_puts(m, "awake\n");
	return 0;
}

/* The compiler treats a branch that calls this function as unlikely. */
static noinline __cold void cold_sleep(void)
{
	sleep_until_awake();
}

static noinline __noclone int cold_show(struct seq_file *m, void *v)
{
	if (!READ_ONCE(awake))
		cold_sleep();
	seq_puts(m, "cold\n");
	return 0;
}

/* Without this attribute, GCC may change the order of the next two functions. */
#if __has_attribute(no_reorder)
#define __in_order __attribute__((no_reorder))
#else
#define __in_order
#endif

static noinline __noclone notrace int __in_order
notrace_show(struct seq_file *m, void *v)
{
	seq_puts(m, "notrace\n");
	return 0;
}

/* The assembler makes no symbol of a name that begins with ".L". */
static noinline __noclone int __used __in_order
hidden_show(struct seq_file *m, void *v) __asm__(".Lhidden_show");

static int hidden_show(struct seq_file *m, void *v)
{
	seq_puts(m, "hidden\n");
	return 0;
}

/* It has no fentry site and no symbol: it is inlined into its only caller. */
static __always_inline int inlined_show(struct seq_file *m)
{
	return notrace_show(m, NULL);
}

static notrace int notrace_file_show(struct seq_file *m, void *v)
{
	return inlined_show(m);
}

/* As with one_show(), patches find this function by its name. */
static int __init __used rlp_target_init(void)
{
	struct proc_dir_entry *dir;
	struct seq_file m = {
		.buf = at_init,
		.size = sizeof(at_init),
	};

	if (init_sleep)
		wait_event_killable(wait, READ_ONCE(awake));
	one_show(&m, NULL);
	if (init_ret)
		return init_ret;

	dir = proc_mkdir("rlp_target", NULL);
	if (!dir)
		return -ENOMEM;
	if (proc_create_single("one", 0444, dir, one_show) &&
	    proc_create_single("two", 0444, dir, two_show) &&
	    proc_create_single("twin1", 0444, dir, twin_show) &&
	    proc_create_single("twin2", 0444, dir, rlp_target_second_twin) &&
	    proc_create_single("sleep", 0444, dir, sleep_show) &&
	    proc_create_single("cold", 0444, dir, cold_show) &&
	    proc_create_single("notrace", 0444, dir, notrace_file_show))
		return 0;
	proc_remove(dir);
	return -ENOMEM;
}

static void __exit rlp_target_exit(void)
{
	remove_proc_subtree("rlp_target", NULL);
}

module_init(rlp_target_init);
module_exit(rlp_target_exit);
MODULE_DESCRIPTION("Selftest: the target module of patches");
MODULE_LICENSE("GPL");
