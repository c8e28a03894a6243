/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Definitions shared by moves_target and its patches. Each version of a function
 * has a tag: 0 in the target, 1 and 2 in the patches.
 */
#ifndef _MOVES_H
#define _MOVES_H

#include <linux/sched.h>
#include <linux/types.h>

#define MOVES_TAGS 3

/* The ways to pass time. Their names in lower case are written to the target's files. */
enum moves_how {
	MOVES_NONE,	/* return at once */
	MOVES_RESCHED,	/* call cond_resched() */
	MOVES_NAP,	/* sleep for a short time, in one of 32 steps */
	MOVES_INT,	/* sleep until released, or interrupted by a signal */
	MOVES_KILL,	/* sleep until released, or killed */
	MOVES_UNINT,	/* sleep until released */
	MOVES_ONCE,	/* sleep until woken for any reason */
	MOVES_SPIN,	/* spin until released, without scheduling */
	MOVES_POLITE,	/* spin until released, and call cond_resched() */
	MOVES_FORK,	/* sleep until released, and make children, one after the other */
	MOVES_CROWD,	/* the same, but the children live until the second release */
};

/* These functions are never patched. */
int moves_pass_time(enum moves_how how, unsigned int nr);
void moves_count_call(unsigned int caller, unsigned int step);

/* The patched functions. A call by name reaches the version of the task's universe. */
int moves_inside(enum moves_how how);
int moves_session(unsigned int steps, enum moves_how how);
unsigned int moves_step(unsigned long a, unsigned long b);

/*
 * Packs the arguments of moves_step(): the current task and the number of the step. Each
 * version has its own order and encoding, which the other versions cannot use.
 */
static __always_inline void moves_pack(unsigned int tag, unsigned long nr,
				       unsigned long *a, unsigned long *b)
{
	unsigned long me = (unsigned long)current;

	*a = tag == 0 ? me : tag == 1 ? nr : ~me;
	*b = tag == 0 ? nr : tag == 1 ? me : ~nr;
}

/* Returns the tag of the caller that packed @a and @b, or MOVES_TAGS if no version did. */
static __always_inline unsigned int moves_unpack(unsigned long a, unsigned long b)
{
	unsigned long me = (unsigned long)current;

	if (a == me)
		return 0;
	if (b == me)
		return 1;
	return a == ~me ? 2 : MOVES_TAGS;
}

/*
 * The caller of the pair. One call of it is the unit of consistency: each of its steps
 * must call the callee of the same version. The callee returns its own tag, and the
 * caller's tag according to the arguments.
 */
#define MOVES_DEFINE_SESSION(name, tag)					\
noinline __noclone int name(unsigned int steps, enum moves_how how)	\
{									\
	int ret = 0;							\
									\
	for (unsigned int nr = 0; nr < steps && !ret; nr++) {		\
		unsigned long a, b;					\
		unsigned int step;					\
									\
		moves_pack(tag, nr, &a, &b);				\
		step = moves_step(a, b);				\
		moves_count_call(tag, step);				\
		ret = moves_pass_time(how, nr);				\
	}								\
	if (!ret)							\
		ret = tag;						\
	OPTIMIZER_HIDE_VAR(ret);					\
	barrier();							\
	return ret;							\
}

/* The callee of the pair. Returns its own tag, and the caller's in the next four bits. */
#define MOVES_DEFINE_STEP(name, tag)					\
noinline __noclone unsigned int name(unsigned long a, unsigned long b)	\
{									\
	unsigned int seen = (tag) | moves_unpack(a, b) << 4;		\
									\
	/* Hide the return value from the compiler. */			\
	OPTIMIZER_HIDE_VAR(seen);					\
	barrier();							\
	return seen;							\
}

/*
 * A function to pass time in. It must be on the stack meanwhile, so its call of
 * moves_pass_time() is not a tail call.
 */
#define MOVES_DEFINE_INSIDE(name, tag)					\
noinline __noclone int name(enum moves_how how)				\
{									\
	int ret = moves_pass_time(how, 0);				\
									\
	if (!ret)							\
		ret = tag;						\
	OPTIMIZER_HIDE_VAR(ret);					\
	barrier();							\
	return ret;							\
}

#endif /* _MOVES_H */
