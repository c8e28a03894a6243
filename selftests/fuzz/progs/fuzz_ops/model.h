/* SPDX-License-Identifier: GPL-2.0 */
/* The functions that can be patched, the state of the loader, and its operations. */
#ifndef _FUZZ_OPS_MODEL_H
#define _FUZZ_OPS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A slot stands for a patch module of a fixed name. A slot whose module has been pinned cannot be
 * used for a new patch. New patches are loaded into the first NR_USABLE of the other slots.
 */
#define NR_SLOTS 8
#define NR_USABLE 4
#define NR_SLEEPERS 3
#define MAX_FUNCS 12

/* Longer than any text that is compared. The longest is the kernel's command line. */
#define TEXT	2304

enum target { T_RLP, T_SAMPLE, NR_TARGETS, T_VMLINUX, T_ABSENT };

enum fn { F_CMDLINE, F_VERSION, F_ONE, F_TWO, F_TWIN1, F_TWIN2, F_SLEEP, F_GREETING, NR_FNS };

extern const char * const objects[];	/* names of the objects, by enum target */

struct fn_desc {
	enum target object;
	const char *name;
	int sympos;		/* 0: the name is unique, so a patch may omit sympos */
	const char *file;	/* a read of this file calls the function */
	char original[TEXT];	/* the text that the original function prints */
};

extern struct fn_desc fns[NR_FNS];

/* A patch's description of one function. */
struct func {
	int fn;			/* index into fns[], or -1 if the function is not in fns[] */
	enum target object;
	const char *name;
	int position;
	bool unresolvable;	/* cannot be found although its object is present */
};

/* A patch's description. */
struct desc {
	char says[16];		/* the text that its replacements print */
	char params[1024];	/* its module's parameters */
	bool replace;
	int invalid;		/* 0, or the errno of its refusal in every state */
	int nr;
	struct func funcs[MAX_FUNCS];
};

#define NR_DESCS 256
extern struct desc descs[NR_DESCS];

/* A retired patch is no longer in the registry, but its directory still exists. */
enum life { NONE, IN_USE, RETIRED };
enum ended { NOT_YET, IN_ORDER, BY_FORCE };	/* how a patch's last transition ended */
enum transition { NO_TRANSITION, ENABLING, REPLACING, DISABLING };
enum universe { OLD, NEW };

/* The structs of a state have no padding, because states are compared and hashed as bytes. */
struct slot {
	uint8_t desc;			/* index into descs[] */
	uint8_t loaded, life;
	uint8_t forced;			/* retired by a forced transition */
	uint8_t puts;			/* module references that will still be put */
	uint8_t pins;			/* module references that are never put */
	uint8_t ended;
};

struct state {
	struct slot slots[NR_SLOTS];
	uint8_t order[NR_SLOTS], nr_order;	/* slots in use, in the order of enabling */
	/* The transition, the slot of its patch, its target universe, and whether it was forced. */
	uint8_t transition, changing_slot, target, forced;
	uint8_t own_universe;		/* the universe of this process */
	uint8_t sleepers[NR_SLEEPERS];	/* 0: no such process, else its universe + 1 */
	uint8_t target_loaded[NR_TARGETS], awake, loader, promote;
};

/* Modules that were pinned before this program started, and that hold references to the loader. */
extern int nr_pinned_before;

/* Returns whether the slot's patch is enabled in this universe. */
bool has_patch(const struct state *m, int slot, enum universe u);

bool present(const struct state *m, enum target object);

/* Returns the slot whose replacement of fn is called in this universe, or -1 for the original. */
int replacing_slot(const struct state *m, enum fn fn, enum universe u);

/* Returns whether a transition runs that enables or disables the slot's patch. */
bool in_transition(const struct state *m, int slot);

/* Returns whether the slot's patch is enabled, or will be when the transition completes. */
bool enabled(const struct state *m, int slot);

/* Return whether sleeper i blocks the transition, and how many sleepers block it. */
bool sleeper_blocks(const struct state *m, int i);
int nr_blocking(const struct state *m);

int nr_loaded(const struct state *m);

/* Completes the transition. */
void complete(struct state *m);

/*
 * Results of an operation that are not errnos. GONE: the patch's file does not exist, or the patch
 * of an open file is gone (ENOENT or ENODEV). GONE_OR + errno: either GONE or this errno.
 */
enum { GONE = 1000, GONE_OR = 2000 };

/* An operation changes the state and returns 0, or it returns an errno or one of the above. */
typedef int op_fn(struct state *m, const long *args);

op_fn op_load;		/* slot, desc */
op_fn op_enable_again;	/* slot */
op_fn op_unload;	/* slot */
op_fn op_enabled;	/* slot, value */
op_fn op_force;		/* slot, value */
op_fn op_junk;		/* slot, errno */
op_fn op_load_target;	/* target, errno of its init function */
op_fn op_unload_target;	/* target */
op_fn op_loader;	/* 1: load it, 0: unload it */
op_fn op_set;		/* offset of a member of struct state, value */
#define MEMBER(member) offsetof(struct state, member)

#endif /* _FUZZ_OPS_MODEL_H */
