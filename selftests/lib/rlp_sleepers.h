/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A place in a test's module where tasks sleep until the module parameter awake is Y. The
 * parameter sleepers is the number of tasks that sleep there. Only a fatal signal interrupts the
 * sleep.
 *
 * The file that includes this one defines AWAKE_AT_FIRST, the first value of awake.
 */
#ifndef _RLP_SLEEPERS_H
#define _RLP_SLEEPERS_H

#include <linux/module.h>
#include <linux/wait.h>

static DECLARE_WAIT_QUEUE_HEAD(wait);
static atomic_t nr_sleepers;
static bool awake = AWAKE_AT_FIRST;

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

/* Inlined, so the stack of a sleeping task names the function of the caller. */
static __always_inline void sleep_until_awake(void)
{
	atomic_inc(&nr_sleepers);
	wait_event_killable(wait, READ_ONCE(awake));
	atomic_dec(&nr_sleepers);
}

#endif /* _RLP_SLEEPERS_H */
