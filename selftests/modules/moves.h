/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What moves_target and its patches share. Each version of the pair has a tag:
 * 0 in the target, 1 and 2 in the patches.
 */
#ifndef _MOVES_H
#define _MOVES_H

#include <linux/sched.h>
#include <linux/types.h>

#define MOVES_TAGS 3

/* How to pass some time; written to the files of the target by these names. */
enum moves_how {
	MOVES_NONE,	/* not at all */
	MOVES_RESCHED,	/* cond_resched() */
	MOVES_NAP,	/* a short sleep, every now and then */
	MOVES_INT,	/* asleep until released, or interrupted by a signal */
	MOVES_KILL,	/* asleep until released, or killed */
	MOVES_UNINT,	/* asleep until released */
	MOVES_ONCE,	/* asleep until woken, whatever for */
	MOVES_SPIN,	/* on the CPU until released, without scheduling */
	MOVES_POLITE,	/* on the CPU until released, with cond_resched() */
};

/* Never patched. */
int moves_pass(enum moves_how how, unsigned int nr);
void moves_account(unsigned int caller, unsigned int callee);

/* Patched: call them by these names to go where the task's universe leads. */
int moves_inside(enum moves_how how);
int moves_session(unsigned int steps, enum moves_how how);
unsigned int moves_step(unsigned long a, unsigned long b);

/*
 * The calling conventions, each useless to the others: which argument says who
 * calls, and how.
 */
static __always_inline void moves_pack(unsigned int tag, unsigned long nr,
				       unsigned long *a, unsigned long *b)
{
	unsigned long me = (unsigned long)current;

	*a = tag == 0 ? me : tag == 1 ? nr : ~me;
	*b = tag == 0 ? nr : tag == 1 ? me : ~nr;
}

/* The tag of the caller that has packed @a and @b. */
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
 * The unit of consistency: all its steps are taken within one call, so each has
 * to be the callee of the same version. The callee says who it is and who has
 * called it by the arguments it got.
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
		moves_account(tag, step);				\
		ret = moves_pass(how, nr);				\
	}								\
	if (!ret)							\
		ret = tag;						\
	OPTIMIZER_HIDE_VAR(ret);					\
	barrier();							\
	return ret;							\
}

/* What the callee saw: its own tag, and the caller's in the next four bits. */
#define MOVES_DEFINE_STEP(name, tag)					\
noinline __noclone unsigned int name(unsigned long a, unsigned long b)	\
{									\
	unsigned int seen = (tag) | moves_unpack(a, b) << 4;		\
									\
	/* The compiler shall not know what it returns. */		\
	OPTIMIZER_HIDE_VAR(seen);					\
	barrier();							\
	return seen;							\
}

/* A function to be in. Not a tail call: the function has to be on the stack. */
#define MOVES_DEFINE_INSIDE(name, tag)					\
noinline __noclone int name(enum moves_how how)				\
{									\
	int ret = moves_pass(how, 0);					\
									\
	if (!ret)							\
		ret = tag;						\
	OPTIMIZER_HIDE_VAR(ret);					\
	barrier();							\
	return ret;							\
}

#endif /* _MOVES_H */
