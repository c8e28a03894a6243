// SPDX-License-Identifier: GPL-2.0
/* The C part of the ftrace handler: functions for preemption and registers are inline. */
#include <linux/context_tracking.h>
#include <linux/cpumask.h>
#include <linux/ftrace.h>
#include <linux/preempt.h>
#include <linux/smp.h>
#include <linux/version.h>

#include "arch.h"
#include "gate.h"
#include "helpers.h"

/*
 * Check whether a grace period of RCU waits for the caller's section, which has preemption off.
 *
 * It does not wait on a CPU that RCU does not watch: the CPU is deep in its idle loop, or between
 * kernel and user mode. It also does not wait on a CPU that is being brought online and has not
 * passed rcutree_report_cpu_starting() yet, or on a CPU that is going offline and has passed
 * rcutree_report_cpu_dead(). Such a CPU is not in cpu_online_mask (start_secondary() in
 * arch/x86/kernel/smpboot.c or secondary_start_kernel() in arch/arm64/kernel/smp.c, and
 * take_cpu_down() in kernel/cpu.c).
 *
 * Only the CPU itself changes what is read here. Within the section, only an interrupt can do so,
 * and it restores what it has changed.
 */
static __always_inline bool rcu_waits_for_this_cpu(void)
{
	return likely(rcu_is_watching_curr_cpu()) &&
	       likely(cpu_online(raw_smp_processor_id()));
}

/**
 * rlp_ftrace_handler() - send a call to the target that rlp_ftrace_target() returns
 * @ip: the fentry site of the called function
 * @parent_ip: unused
 * @ops: unused
 * @fregs: the registers, of which the instruction pointer is changed
 *
 * Preemption is off while the view is read: the reader of the view relies on that. Where RCU does
 * not wait for such a section, rlp_ftrace_target_unwatched() counts the section.
 *
 * There is no recursion lock. The functions that are called here cannot be traced, do not
 * wait and keep no state. So the handler can be entered again at any point. With a lock, a
 * patched function that is called while the lock is held would run its original code, in a
 * task that no longer uses that code. The function that releases the lock calls
 * preempt_enable_notrace(), which may call the scheduler, and so a patched function.
 *
 * Context: any in which a function can be called.
 */
void notrace rlp_ftrace_handler(unsigned long ip, unsigned long parent_ip,
				struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
	unsigned long target;

	preempt_disable_notrace();
	if (unlikely(!rcu_waits_for_this_cpu()))
		target = rlp_ftrace_target_unwatched(ip, current);
	else
		target = rlp_ftrace_target(ip, current);
	preempt_enable_notrace();
	if (target)
		ftrace_regs_set_instruction_pointer(fregs, target);
}

/**
 * rlp_ftrace_site() - find the fentry site of a function
 * @addr: the start of the function
 * @size: the size of its symbol in bytes
 *
 * A symbol extends to the next symbol. Functions without a symbol (stripped, or weak and
 * overridden) may lie in between. Their sites are farther from @addr than the function's own site
 * can be, and are not accepted. ftrace does the same where it has FTRACE_MCOUNT_MAX_OFFSET
 * (test_for_valid_rec() in kernel/trace/ftrace.c). ftrace has no such limit for arm64.
 *
 * Context: any.
 * Return: the address of the site, or 0.
 */
unsigned long rlp_ftrace_site(unsigned long addr, unsigned long size)
{
	size = min(size, RLP_ARCH_MAX_SITE_OFFSET + 1UL);
	return rlp_ftrace_location_range(addr, addr + max(size, 1UL) - 1);
}

/**
 * rlp_ftrace_holder() - find another ops that redirects a function
 * @ip: the function's fentry site
 * @ours: the ops to be skipped
 *
 * For diagnosis only: the answer may be stale at once. The READ_ONCE() of the list pairs
 * with rcu_assign_pointer() in add_ftrace_ops() by an address dependency. An ops is not
 * freed before a grace period that waits for sections with preemption off.
 *
 * Context: process context.
 * Return: the address of the handler of that ops, or 0.
 */
unsigned long rlp_ftrace_holder(unsigned long ip, struct ftrace_ops *ours)
{
	struct ftrace_ops **list = rlp_gate_addr_ftrace_ops_list;
	struct ftrace_ops *ops;

	if (!list)
		return 0;
	guard(preempt_notrace)();
	for (ops = READ_ONCE(*list); ops && ops->next; ops = READ_ONCE(ops->next)) {
		if (ops == ours || !(ops->flags & FTRACE_OPS_FL_IPMODIFY))
			continue;
		if (rlp_ftrace_hash_has(rcu_dereference_raw(ops->func_hash->filter_hash), ip))
			return (unsigned long)ops->func;
	}
	return 0;
}

/* __register_ftrace_function() refuses this ops with -EINVAL, because of its flag. */
static struct ftrace_ops deleted_ops = {
	.flags = FTRACE_OPS_FL_DELETED,
};

/**
 * rlp_ftrace_alive() - check that ftrace has not shut itself down
 *
 * ftrace shuts itself down (ftrace_kill()) when text does not hold what ftrace expects.
 * Most functions that change text, such as ftrace_update_ops(), still return 0 then.
 * Registering an ops then fails with -ENODEV, before anything else is checked.
 *
 * Context: process context, sleeps.
 * Return: false if ftrace has shut itself down.
 */
bool rlp_ftrace_alive(void)
{
	return register_ftrace_function(&deleted_ops) != -ENODEV;
}

/**
 * rlp_ftrace_has_switch() - check whether sysctl kernel.ftrace_enabled can be set to 0
 *
 * Since 7.3, ftrace_enable_sysctl() refuses that. For an older kernel with that change
 * this returns true, which is safe.
 *
 * Context: any.
 */
bool rlp_ftrace_has_switch(void)
{
	return LINUX_VERSION_CODE < KERNEL_VERSION(7, 3, 0);
}
