// SPDX-License-Identifier: GPL-2.0
/*
 * The target module of the benchmark's patches: 1,024 identical functions.
 *
 * Files in debugfs, bench_target/:
 *	calls	write N: call the first function N times in a loop; read: the
 *		duration of the last loop in nanoseconds
 *	sleep	read: sleep in a function that can be patched, until a signal
 *		arrives
 *	deep	read: the same in a function that is not patched. It calls itself
 *		until the stack is nearly full, and then sleeps
 */
#include <linux/debugfs.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/sched/task_stack.h>

#include "bench_functions.h"

#define DEFINE_FUNCTION(nr)					\
	noinline long bench_##nr(long x);			\
	noinline long bench_##nr(long x)			\
	{							\
		/* volatile: a call cannot be optimised away */	\
		asm volatile("" : "+r" (x));			\
		return x + 1;					\
	}
BENCH_FUNCTIONS_1024(DEFINE_FUNCTION)

/*
 * Keeps the compiler from removing the functions that are not called, and from calling a
 * copy of a function.
 */
#define ADDRESS(nr) bench_##nr,
static long (*const all[])(long) __used = { BENCH_FUNCTIONS_1024(ADDRESS) };

static struct dentry *dir;
static u64 loop_ns;

/* Interrupts are off, so that the measured time is only the time of the loop. */
static int calls_set(void *data, u64 count)
{
	unsigned long flags;
	long x = 0;
	u64 start;

	local_irq_save(flags);
	start = ktime_get_ns();
	while (count--)
		x = bench_0000(x);
	loop_ns = ktime_get_ns() - start;
	local_irq_restore(flags);
	return 0;
}

static int calls_get(void *data, u64 *ns)
{
	*ns = loop_ns;
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(calls_fops, calls_get, calls_set, "%llu\n");

static __always_inline int sleep_until_signal(void)
{
	set_current_state(TASK_INTERRUPTIBLE);
	while (!signal_pending(current)) {
		schedule();
		set_current_state(TASK_INTERRUPTIBLE);
	}
	__set_current_state(TASK_RUNNING);
	return -EINTR;
}

noinline int bench_sleeper(void);
noinline int bench_sleeper(void)
{
	return sleep_until_signal();
}

static int sleep_get(void *data, u64 *nothing)
{
	*nothing = 0;
	return bench_sleeper();
}
DEFINE_DEBUGFS_ATTRIBUTE(sleep_fops, sleep_get, NULL, "%llu\n");

/* The stack that sleep_deep() leaves to schedule() and to interrupts. */
#define LEFT	4096

static noinline int sleep_deep(void)
{
	int ret;

	if (current_stack_pointer - (unsigned long)task_stack_page(current) < LEFT)
		return sleep_until_signal();
	ret = sleep_deep();
	/* Keep the compiler from making a loop of this. */
	barrier();
	return ret;
}

static int deep_get(void *data, u64 *nothing)
{
	*nothing = 0;
	return sleep_deep();
}
DEFINE_DEBUGFS_ATTRIBUTE(deep_fops, deep_get, NULL, "%llu\n");

static int __init target_init(void)
{
	dir = debugfs_create_dir("bench_target", NULL);
	debugfs_create_file("calls", 0600, dir, NULL, &calls_fops);
	debugfs_create_file("sleep", 0400, dir, NULL, &sleep_fops);
	debugfs_create_file("deep", 0400, dir, NULL, &deep_fops);
	return PTR_ERR_OR_ZERO(dir);
}

static void __exit target_exit(void)
{
	debugfs_remove(dir);
}

module_init(target_init);
module_exit(target_exit);
MODULE_DESCRIPTION("The target module of the benchmark's patches");
MODULE_LICENSE("GPL");
