/* SPDX-License-Identifier: GPL-2.0 */
/* What there is to be patched, the state that the loader is in, and its operations. */
#ifndef _FUZZ_OPS_MODEL_H
#define _FUZZ_OPS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NR_SLOTS 8
#define NR_IN_PLAY 4		/* slots that new patches are loaded to */
#define NR_SLEEPERS 3
#define MAX_FUNCS 12

/* Longer than any text that is compared; the longest is the kernel's command line. */
#define TEXT	2304

enum target { T_RLP, T_SAMPLE, NR_TARGETS, T_VMLINUX, T_ABSENT };

enum fn { F_CMDLINE, F_VERSION, F_ONE, F_TWO, F_TWIN1, F_TWIN2, F_SLEEP, F_GREETING, NR_FNS };

extern const char * const objects[];	/* their names, by enum target */

struct fn_desc {
	enum target object;
	const char *name;
	int sympos;		/* 0: may be left out */
	const char *file;	/* reading it calls the function */
	char original[TEXT];
};

extern struct fn_desc fns[NR_FNS];

/* What a patch says of itself. */
struct func {
	int fn;			/* -1: none of fns[] */
	enum target object;
	const char *name;
	int position;
	bool bad;		/* cannot be found once its object is there */
};

struct desc {
	char says[16], params[1024];
	bool replace;
	int early;		/* the errno it is refused with, whatever else there is */
	int nr;
	struct func funcs[MAX_FUNCS];
};

#define NR_DESCS 256
extern struct desc descs[NR_DESCS];

enum life { NONE, IN_USE, LEAVING };	/* LEAVING: only its directory is there */
enum ran { NOT_YET, IN_ORDER, BY_FORCE };	/* how its last transition ended */
enum move { STILL, IN, REPLACING, OUT };
enum universe { OLD, NEW };

/* No padding: states are compared and hashed as bytes. */
struct slot {
	uint8_t desc, loaded, life, forced, puts, pins, ran;
};

struct state {
	struct slot slots[NR_SLOTS];
	uint8_t order[NR_SLOTS], nr_order;
	uint8_t move, mover, target, forced;
	uint8_t self;			/* the universe of this process */
	uint8_t sleepers[NR_SLEEPERS];	/* 0: none, else its universe + 1 */
	uint8_t here[NR_TARGETS], awake, loader, promote;
};

extern int foreign;	/* how many modules that were forced out earlier hold the loader */

/* Does the universe have the patch in the slot? */
bool has(const struct state *m, int slot, enum universe u);
bool present(const struct state *m, enum target object);
/* The slot whose replacement of fn the universe calls, -1 for the original. */
int winner(const struct state *m, enum fn fn, enum universe u);
/* Is it the slot that a transition is of? */
bool moves(const struct state *m, int slot);
bool enabled(const struct state *m, int slot);
/* Does this sleeper hold the transition up, and how many do? */
bool held(const struct state *m, int i);
int nr_held(const struct state *m);
int nr_loaded(const struct state *m);
/* The transition ends. */
void complete(struct state *m);

/* No file, or one of a patch that is gone; that or another result. */
enum { GONE = 1000, GONE_OR = 2000 };

/* Operations: each returns an errno or one of these, or 0 and changes the state. */
typedef int op_fn(struct state *m, const long *args);

op_fn op_load;		/* slot, desc */
op_fn op_again;		/* slot */
op_fn op_unload;	/* slot */
op_fn op_enabled;	/* slot, value */
op_fn op_force;		/* slot, value */
op_fn op_junk;		/* slot, errno */
op_fn op_target;	/* target, init's errno */
op_fn op_target_goes;	/* target */
op_fn op_loader;	/* 1: load it, 0: unload it */
op_fn op_set;		/* offset of a member, value */
#define MEMBER(member) offsetof(struct state, member)

#endif /* _FUZZ_OPS_MODEL_H */
