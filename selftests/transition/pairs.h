/* SPDX-License-Identifier: GPL-2.0 */
/* What pairs_target and its patch share: functions that return their version. */
#ifndef _PAIRS_H
#define _PAIRS_H

#include <linux/compiler.h>

#define PAIRS_DEFINE(name, version)				\
static noinline __noclone unsigned int name(void)		\
{								\
	unsigned int ret = (version);				\
								\
	/* The compiler shall not know what it returns. */	\
	OPTIMIZER_HIDE_VAR(ret);				\
	/* Or two functions of the same code become one. */	\
	asm volatile("# " #name : : : "memory");		\
	return ret;						\
}

/* Never patched: sleeps until released. */
void pairs_sleep(void);

/* Patched: a function to sleep in. Not a tail call: the function has to be on the stack. */
#define PAIRS_DEFINE_HOLD(name)					\
static noinline __noclone void name(void)			\
{								\
	pairs_sleep();						\
	barrier();						\
}

#endif /* _PAIRS_H */
