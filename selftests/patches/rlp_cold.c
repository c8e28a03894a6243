// SPDX-License-Identifier: GPL-2.0
/*
 * A patch with functions on which a task can sleep at places that the symbols of the functions do
 * not show:
 *
 *	vprintk()	A task with the name "rlp-cold" sleeps. This is the way into the part of a
 *			function of vmlinux that the compiler has moved out: the part prints a line
 *			to the kernel's log.
 *	one_show()	in rlp_target. It sleeps below its .cold part.
 *	two_show()	in rlp_target. It has left its own frame by a tail call, and the called
 *			function has done the same, before the sleep.
 *	sleep_show()	in rlp_target. It sleeps in another function of this module.
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
#include <linux/wait.h>

static DECLARE_WAIT_QUEUE_HEAD(wait);
static atomic_t nr_sleepers;
static bool awake = true;
/* The compiler does not know the result of a function that returns this. */
static int zero;

static int awake_set(const char *val, const struct kernel_param *kp)
{
	int ret = param_set_bool(val, kp);

	wake_up_all(&wait);
	return ret;
}

static const struct kernel_param_ops awake_ops = {
	.set = awake_set,
	.get = param_get_bool,
};
module_param_cb(awake, &awake_ops, &awake, 0644);

static int sleepers_get(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%d\n", atomic_read(&nr_sleepers));
}

static const struct kernel_param_ops sleepers_ops = {
	.get = sleepers_get,
};
module_param_cb(sleepers, &sleepers_ops, NULL, 0444);

static __always_inline void sleep_until_awake(void)
{
	atomic_inc(&nr_sleepers);
	wait_event_killable(wait, READ_ONCE(awake));
	atomic_dec(&nr_sleepers);
}

static int new_vprintk(const char *fmt, va_list args)
{
	if (in_task() && !irqs_disabled() && !strcmp(current->comm, "rlp-cold"))
		sleep_until_awake();
	return vprintk_emit(0, LOGLEVEL_DEFAULT, NULL, fmt, args);
}

/* A caller's branch that calls this function is unlikely to the compiler. */
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
