// SPDX-License-Identifier: GPL-2.0
/*
 * Patched functions as plain jumps: ftrace's direct targets, a batch at a time.
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

/* PERMANENT: sysctl kernel.ftrace_enabled must not take patches away. */
static struct ftrace_ops direct_ops = {
	.ops_func = share,
	.flags = FTRACE_OPS_FL_PERMANENT,
};

/**
 * rlp_direct_change() - make functions jump, or no longer
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
int rlp_direct_change(const unsigned long *sites, const unsigned long *targets,
		      unsigned int nr, bool add)
{
	struct ftrace_hash *hash;
	int ret = -ENOMEM;

	if (!rlp_gate_has_direct())
		return -EOPNOTSUPP;
	hash = rlp_alloc_ftrace_hash(fls(nr));
	if (!hash)
		return -ENOMEM;
	for (unsigned int i = 0; i < nr; i++)
		if (!rlp_add_ftrace_hash_entry_direct(hash, sites[i], ftrace_jmp_set(targets[i])))
			goto out;
	ret = add ? rlp_update_ftrace_direct_add(&direct_ops, hash) :
		    rlp_update_ftrace_direct_del(&direct_ops, hash);
out:
	rlp_free_ftrace_hash(hash);
	return ret;
}

#else

int rlp_direct_change(const unsigned long *sites, const unsigned long *targets,
		      unsigned int nr, bool add)
{
	return -EOPNOTSUPP;
}

#endif
