/* SPDX-License-Identifier: GPL-2.0 */
/* The text that each file has in a state, and the checks of the files. */
#ifndef _FUZZ_OPS_OBSERVE_H
#define _FUZZ_OPS_OBSERVE_H

#include "model.h"
#include "report.h"

enum attr { A_ENABLED, A_TRANSITION, A_REPLACE, A_STACK_ORDER, A_PROGRESS, A_BLOCKERS,
	    A_TRANSITION_US, A_TRANSITION_END, A_TRANSITION_FORCED, A_FORCE, NR_ATTRS };

extern const char * const attrs[NR_ATTRS];	/* names of the attributes */

expect_fn expect_attr;		/* slot, attribute */
expect_fn expect_list;		/* no arguments; see list_patches() */
expect_fn expect_refs;		/* slot */
expect_fn expect_own_output;	/* fn */
expect_fn expect_new_output;	/* fn */

/* The text that a call of fn in this universe prints. */
const char *output(const struct state *m, enum fn fn, enum universe u);

/* Replaces text that differs from run to run (times, counts) by a fixed text. */
void canonicalize(enum attr attr, char *text);

/* Checks some files. Called often, also while the loader is not at rest. */
void check_some(void);
/* Checks all files. */
void check_all(void);

#endif /* _FUZZ_OPS_OBSERVE_H */
