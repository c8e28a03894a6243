// SPDX-License-Identifier: GPL-2.0
/* The ftrace handler's frame: preemption and registers are inline in C. */
#include <linux/ftrace.h>
#include <linux/preempt.h>
#include <linux/version.h>

#include "gate.h"
#include "helpers.h"

/**
 * rlp_ftrace_handler() - send the caller of @ip where rlp_ftrace_target() says
 *
 * Context: any, wherever a function can be called. Preemption is off while the
 * view is read, which is what its reader relies on.
 *
 * No recursion lock: nothing in here can be traced, waits or keeps state, so it
 * may be entered again anywhere. With the lock, a patched function called where
 * it is taken, as from preempt_enable_notrace() in its own release, would run
 * its original code in a task that has left that behind.
 */
void notrace rlp_ftrace_handler(unsigned long ip, unsigned long parent_ip,
				struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
	unsigned long target;

	preempt_disable_notrace();
	target = rlp_ftrace_target(ip, current);
	preempt_enable_notrace();
	if (target)
		ftrace_regs_set_instruction_pointer(fregs, target);
}

/**
 * rlp_ftrace_site() - the fentry site of a function
 * @addr: where it begins
 * @size: its length in bytes, if anything more than its own
 *
 * A symbol reaches to the next one, and functions whose symbols are gone (stripped, or weak and
 * overridden) are in between: their sites are further behind @addr than ftrace itself takes for
 * that of a function (test_for_valid_rec() in kernel/trace/ftrace.c).
 *
 * Context: any. Return: its address, or 0.
 */
unsigned long rlp_ftrace_site(unsigned long addr, unsigned long size)
{
#ifdef FTRACE_MCOUNT_MAX_OFFSET
	size = min(size, FTRACE_MCOUNT_MAX_OFFSET + 1UL);
#endif
	return rlp_ftrace_location_range(addr, addr + max(size, 1UL) - 1);
}

/**
 * rlp_ftrace_holder() - who else redirects a function
 * @ip: its fentry site
 * @ours: the ops that is not meant
 *
 * Context: process context. Diagnosis only: the answer may be stale at once. The list's
 * READ_ONCE() pairs with rcu_assign_pointer() in add_ftrace_ops() by address dependency; an
 * ops is not freed before a grace period that waits for preemption off.
 * Return: the address of the other's handler, or 0.
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

/* To register it is refused (FTRACE_OPS_FL_DELETED): __register_ftrace_function() says
 * -EINVAL.
 */
static struct ftrace_ops never = {
	.flags = FTRACE_OPS_FL_DELETED,
};

/**
 * rlp_ftrace_alive() - whether ftrace has not shut itself down
 *
 * It does (ftrace_kill()) when it finds text to be other than it should, and most of what
 * changes text returns 0 all the same, as ftrace_update_ops() does. But ftrace_startup()
 * asks before all else.
 *
 * Context: process context, sleeps.
 */
bool rlp_ftrace_alive(void)
{
	return register_ftrace_function(&never) != -ENODEV;
}

/**
 * rlp_ftrace_has_switch() - whether sysctl kernel.ftrace_enabled can be set to 0
 *
 * Since 7.3 ftrace_enable_sysctl() refuses. Where that was applied to an older
 * kernel the answer is wrong on the safe side.
 *
 * Context: any.
 */
bool rlp_ftrace_has_switch(void)
{
	return LINUX_VERSION_CODE < KERNEL_VERSION(7, 3, 0);
}
