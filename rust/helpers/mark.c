// SPDX-License-Identifier: GPL-2.0
/* A mark in the log of a panic: the patch that is on probation. */
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/panic_notifier.h>
#include <linux/string.h>

#include "helpers.h"

static char marked[MODULE_NAME_LEN];
/*
 * Whether the array above holds the name of a patch. Written by one thread at a time. A panic on
 * another CPU may see this before it sees the whole name. It then prints the old name, or a part
 * of the new name. That does no harm, so no order is needed.
 */
static bool is_marked;

/**
 * rlp_mark_patch() - name a patch in the log if the kernel panics
 * @name: the patch; NULL: no patch is named any more
 *
 * Context: any. Calls are serialised by the caller.
 */
void rlp_mark_patch(const char *name)
{
	/* Pairs with READ_ONCE() in name_marked(). */
	WRITE_ONCE(is_marked, false);
	if (!name)
		return;
	strscpy(marked, name, sizeof(marked));
	WRITE_ONCE(is_marked, true);
}

/*
 * panic() calls this before it dumps the log to pstore. It does not call this if it starts a crash
 * kernel first.
 */
static int name_marked(struct notifier_block *nb, unsigned long event, void *message)
{
	/* Pairs with WRITE_ONCE() in rlp_mark_patch(). */
	if (READ_ONCE(is_marked))
		pr_emerg(KBUILD_MODNAME ": the kernel panics while patch '%s' is on probation\n",
			 marked);
	return NOTIFY_DONE;
}

static struct notifier_block panic_block = { .notifier_call = name_marked };

/**
 * rlp_mark_register() - let a panic name the marked patch
 *
 * Context: any. rlp_mark_unregister() reverts this.
 */
void rlp_mark_register(void)
{
	atomic_notifier_chain_register(&panic_notifier_list, &panic_block);
}

/**
 * rlp_mark_unregister() - stop naming patches in the log of a panic
 *
 * Context: may sleep. If a panic is calling the notifiers, this waits until they have returned. It
 * does not wait for the end of the panic: a panic never returns.
 */
void rlp_mark_unregister(void)
{
	atomic_notifier_chain_unregister(&panic_notifier_list, &panic_block);
}
