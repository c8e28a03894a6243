// SPDX-License-Identifier: GPL-2.0
/*
 * Functions that nobody calls, for ftrace to hold on to.
 *
 * An ftrace_ops whose last function goes has to be unregistered, which waits
 * for RCU-tasks: for as long as some kthread does not schedule. With a function
 * of its own in its filter it never has to, until the loader is unloaded.
 */
#include "helpers.h"

void noinline rlp_anchor_handler(void)
{
	barrier();
}

void noinline rlp_anchor_jump(void)
{
	barrier();
}
