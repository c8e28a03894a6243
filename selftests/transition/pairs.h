/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Macros for the functions that pairs_target and its patch define: functions that return
 * their version, and a function to sleep in.
 */
#ifndef _PAIRS_H
#define _PAIRS_H

#include <linux/compiler.h>

#define PAIRS_DEFINE(name, version)				\
static noinline __noclone unsigned int name(void)		\
{								\
	unsigned int ret = (version);				\
								\
	/* Hide the return value from the compiler. */		\
	OPTIMIZER_HIDE_VAR(ret);				\
	/* Keep the compiler from merging equal functions. */	\
	asm volatile("# " #name : : : "memory");		\
	return ret;						\
}

/* This function is never patched. It sleeps until the tasks are released. */
void pairs_sleep(void);

/*
 * A patched function to sleep in. Its call of pairs_sleep() is not a tail call, because the
 * function must stay on the stack.
 */
#define PAIRS_DEFINE_HOLD(name)					\
static noinline __noclone void name(void)			\
{								\
	pairs_sleep();						\
	barrier();						\
}

#endif /* _PAIRS_H */
