// SPDX-License-Identifier: GPL-2.0
/*
 * Patched functions as plain jumps: ftrace's direct targets, a batch at a time, or
 * one by one with what every kernel exports.
 *
 * With bit 0 of its target set, a direct target is jumped to from the fentry
 * site, and nothing of ftrace runs any more when the function is called
 * (CONFIG_DYNAMIC_FTRACE_WITH_JMP).
 */
#include <linux/ftrace.h>

#include "gate.h"
#include "helpers.h"

#ifdef CONFIG_DYNAMIC_FTRACE_WITH_JMP

/* Who else changes the instruction pointer may not have a function that jumps;
 * the loader's own handler, whose place it is, may.
 */
static int share(struct ftrace_ops *ops, unsigned long ip, enum ftrace_ops_cmd cmd)
{
	switch (cmd) {
	case FTRACE_OPS_CMD_ENABLE_SHARE_IPMODIFY_SELF:
	case FTRACE_OPS_CMD_DISABLE_SHARE_IPMODIFY_PEER:
		return 0;
	case FTRACE_OPS_CMD_ENABLE_SHARE_IPMODIFY_PEER:
		return -EBUSY;
	}
	return -EINVAL;
}

/**
 * rlp_direct_change() - make functions jump, or no longer
 * @ops: of all that is changed so; zeroed, until the first is added
 * @sites: fentry sites, each once
 * @targets: where each jumps to
 * @nr: how many
 * @add: or remove what was added with the same target
 *
 * Context: process context, sleeps; on removing the last, which is an anchor,
 * for RCU-tasks.
 * Return: 0, -EOPNOTSUPP where the kernel lacks a symbol, -ENOMEM, or -EINVAL
 * if a function has a direct target already. All or nothing.
 */
int rlp_direct_change(struct ftrace_ops *ops, const unsigned long *sites,
		      const unsigned long *targets, unsigned int nr, bool add)
{
	struct ftrace_hash *hash;
	int ret = -ENOMEM;

	if (!rlp_gate_has_direct())
		return -EOPNOTSUPP;
	/* As large as ftrace itself makes them, FTRACE_HASH_MAX_BITS. */
	hash = rlp_alloc_ftrace_hash(min(fls(nr), 12));
	if (!hash)
		return -ENOMEM;
	for (unsigned int i = 0; i < nr; i++)
		if (!rlp_add_ftrace_hash_entry_direct(hash, sites[i], ftrace_jmp_set(targets[i])))
			goto out;
	if (!ops->ops_func)
		ops->ops_func = share;
	ret = add ? rlp_update_ftrace_direct_add(ops, hash) :
		    rlp_update_ftrace_direct_del(ops, hash);
out:
	rlp_free_ftrace_hash(hash);
	return ret;
}

/**
 * rlp_direct_add_one() - make one function jump, by an ops of its own
 * @ops: zeroed, and the caller's until rlp_direct_remove_one()
 * @site: its fentry site
 * @target: where it jumps to
 *
 * Context: process context, sleeps.
 * Return: 0, -EBUSY if the function has a direct target already, -ENOMEM, or -ENODEV if ftrace has
 * shut itself down; it keeps @ops then.
 */
int rlp_direct_add_one(struct ftrace_ops *ops, unsigned long site, unsigned long target)
{
	int ret;

	ops->ops_func = share;
	ret = ftrace_set_filter_ip(ops, site, 0, 1);
	if (!ret)
		ret = register_ftrace_direct(ops, ftrace_jmp_set(target));
	/* Where ftrace has shut itself down, it may still have the ops. */
	if (ret && ret != -ENODEV)
		ftrace_free_filter(ops);
	return ret;
}

/**
 * rlp_direct_remove_one() - undo rlp_direct_add_one()
 * @ops: as given to it
 * @target: as given to it
 *
 * Context: process context, sleeps for RCU-tasks.
 * Return: 0, or an error where ftrace has shut itself down; it keeps @ops then.
 */
int rlp_direct_remove_one(struct ftrace_ops *ops, unsigned long target)
{
	return unregister_ftrace_direct(ops, ftrace_jmp_set(target), true);
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
