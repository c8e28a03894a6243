// SPDX-License-Identifier: GPL-2.0
/*
 * Make patched functions plain jumps, with ftrace's direct targets. The jumps are added in
 * batches, or one by one with functions that every kernel exports.
 *
 * If bit 0 of a direct target is set, the fentry site is a jump to the target, and no
 * code of ftrace runs when the function is called (CONFIG_DYNAMIC_FTRACE_WITH_JMP).
 */
#include <linux/ftrace.h>

#include "gate.h"
#include "helpers.h"

#ifdef CONFIG_DYNAMIC_FTRACE_WITH_JMP

/*
 * ftrace calls this before it lets an ops with IPMODIFY share a function with a direct
 * target. The loader's own handler may share a function that jumps, because the jump
 * has the destination that the handler would choose. Another ops may not. Any ops may share a
 * function that bpf.c watches, because the stub returns to the address that the ops has chosen.
 */
static int share_with_own_handler(struct ftrace_ops *ops, unsigned long ip,
				  enum ftrace_ops_cmd cmd)
{
	switch (cmd) {
	case FTRACE_OPS_CMD_ENABLE_SHARE_IPMODIFY_SELF:
	case FTRACE_OPS_CMD_DISABLE_SHARE_IPMODIFY_PEER:
		return 0;
	case FTRACE_OPS_CMD_ENABLE_SHARE_IPMODIFY_PEER:
		return rlp_bpf_is_watched(ip) ? 0 : -EBUSY;
	}
	return -EINVAL;
}

/**
 * rlp_direct_change() - make functions jump, or undo that
 * @ops: the one ops of all these jumps; zeroed before the first call
 * @sites: fentry sites, each once
 * @targets: the target of each jump
 * @nr: the number of sites and of targets
 * @add: true to add the jumps, false to remove jumps that were added with these targets
 *
 * Either all sites are changed or none.
 *
 * Context: process context, sleeps. Removing the last jump of @ops waits for RCU-tasks.
 * Return: 0; -EOPNOTSUPP if the kernel lacks a symbol; -ENOMEM; -EINVAL if a function has
 * a direct target already; -ENODEV if ftrace has shut itself down: ftrace may still use @ops then.
 */
int rlp_direct_change(struct ftrace_ops *ops, const unsigned long *sites,
		      const unsigned long *targets, unsigned int nr, bool add)
{
	struct ftrace_hash *hash;
	int ret = -ENOMEM;

	if (!rlp_gate_has_direct())
		return -EOPNOTSUPP;
	/* The maximum is that of ftrace, FTRACE_HASH_MAX_BITS. */
	hash = rlp_alloc_ftrace_hash(min(fls(nr), 12));
	if (!hash)
		return -ENOMEM;
	for (unsigned int i = 0; i < nr; i++)
		if (!rlp_add_ftrace_hash_entry_direct(hash, sites[i], ftrace_jmp_set(targets[i])))
			goto out;
	if (!ops->ops_func)
		ops->ops_func = share_with_own_handler;
	ret = add ? rlp_update_ftrace_direct_add(ops, hash) :
		    rlp_update_ftrace_direct_del(ops, hash);
out:
	rlp_free_ftrace_hash(hash);
	return ret;
}

/**
 * rlp_direct_add_one() - make one function jump, with an ops of its own
 * @ops: zeroed; the caller keeps it until rlp_direct_remove_one() has succeeded
 * @site: the function's fentry site
 * @target: the target of the jump
 *
 * Context: process context, sleeps.
 * Return: 0; -EBUSY if the function has a direct target already; -ENOMEM; -ENODEV if ftrace
 * has shut itself down: ftrace may still use @ops then.
 */
int rlp_direct_add_one(struct ftrace_ops *ops, unsigned long site, unsigned long target)
{
	int ret;

	ops->ops_func = share_with_own_handler;
	ret = ftrace_set_filter_ip(ops, site, 0, 1);
	if (!ret)
		ret = register_ftrace_direct(ops, ftrace_jmp_set(target));
	/* After ftrace has shut itself down, it may still use the ops. */
	if (ret && ret != -ENODEV)
		ftrace_free_filter(ops);
	return ret;
}

/**
 * rlp_direct_remove_one() - undo rlp_direct_add_one()
 * @ops: the ops of that call
 * @target: the target of that call
 *
 * The filter of @ops is kept: if ftrace has shut itself down, it may still use the filter.
 * The caller frees the filter if ftrace has not shut itself down.
 *
 * Context: process context, waits for RCU-tasks.
 * Return: 0, or an error if ftrace has shut itself down: ftrace may still use @ops then.
 */
int rlp_direct_remove_one(struct ftrace_ops *ops, unsigned long target)
{
	return unregister_ftrace_direct(ops, ftrace_jmp_set(target), false);
}

#else

int rlp_direct_add_one(struct ftrace_ops *ops, unsigned long site, unsigned long target)
{
	return -EOPNOTSUPP;
}

int rlp_direct_remove_one(struct ftrace_ops *ops, unsigned long target)
{
	return 0;
}

int rlp_direct_change(struct ftrace_ops *ops, const unsigned long *sites,
		      const unsigned long *targets, unsigned int nr, bool add)
{
	return -EOPNOTSUPP;
}

#endif
