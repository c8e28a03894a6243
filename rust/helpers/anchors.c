// SPDX-License-Identifier: GPL-2.0
/*
 * Functions that are never called, to keep an ftrace_ops registered.
 *
 * An ftrace_ops must be unregistered when its filter becomes empty. Unregistering it waits
 * for RCU-tasks, and that wait can last as long as a kthread does not schedule. With one of
 * these functions in its filter, an ops stays registered until the loader is unloaded.
 */
#include "helpers.h"

noinline void rlp_anchor_handler(void)
{
	barrier();
}

noinline void rlp_anchor_jump(void)
{
	barrier();
}
