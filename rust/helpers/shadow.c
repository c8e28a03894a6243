// SPDX-License-Identifier: GPL-2.0
/* Helpers for shadow variables: spin_lock_irqsave(), kfree_rcu(), and %p. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "helpers.h"

static DEFINE_SPINLOCK(side_lock);

/* Context: any but NMI; on PREEMPT_RT, one that may sleep. */
unsigned long rlp_side_lock(void)
{
	unsigned long flags;

	spin_lock_irqsave(&side_lock, flags);
	return flags;
}

void rlp_side_unlock(unsigned long flags)
{
	spin_unlock_irqrestore(&side_lock, flags);
}

/* Allocate a header and @size zeroed bytes. Context: the one that @gfp requires. */
struct rlp_side *rlp_side_alloc(size_t size, gfp_t gfp)
{
	return kzalloc(size_add(sizeof(struct rlp_side), size), gfp);
}

/* Free memory that no reader has seen. */
void rlp_side_free(struct rlp_side *side)
{
	kfree(side);
}

/*
 * Free memory after a grace period. This needs no callback in this module: the loader may
 * be unloaded before the memory is freed.
 */
void rlp_side_free_rcu(struct rlp_side *side)
{
	kfree_rcu(side, rcu);
}

/* Not a WARN() as in-tree, which would take down a machine that panics on warnings. */
void rlp_shadow_report_duplicate(void *obj, unsigned long id)
{
	pr_warn("Duplicate shadow variable <%p, %lx>\n", obj, id);
}

void rlp_shadow_report_constructor(void *obj, unsigned long id, int err)
{
	pr_err("Failed to construct shadow variable <%p, %lx> (%d)\n", obj, id, err);
}
