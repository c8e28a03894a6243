// SPDX-License-Identifier: GPL-2.0
/*
 * Shows kernel state that is not visible from user space otherwise. Module parameter:
 *
 * probes	the number of probes on all tracepoints of vmlinux
 */
#include <linux/module.h>
#include <linux/tracepoint.h>

static void count_probes(struct tracepoint *tp, void *count)
{
	const struct tracepoint_func *func;

	guard(preempt_notrace)();
	for (func = rcu_dereference_raw(tp->funcs); func && func->func; func++)
		++*(int *)count;
}

static int probes_get(char *buf, const struct kernel_param *kp)
{
	int count = 0;

	for_each_kernel_tracepoint(count_probes, &count);
	return sysfs_emit(buf, "%d\n", count);
}

static const struct kernel_param_ops probes_ops = {
	.get = probes_get,
};
module_param_cb(probes, &probes_ops, NULL, 0444);

static int __init state_init(void)
{
	return 0;
}

static void __exit state_exit(void)
{
}

module_init(state_init);
module_exit(state_exit);
MODULE_DESCRIPTION("Selftest: the number of registered tracepoint probes");
MODULE_LICENSE("GPL");
