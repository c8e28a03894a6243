/* SPDX-License-Identifier: GPL-2.0 */
/* What is to be seen in a state, and the checks that it is. */
#ifndef _FUZZ_OPS_OBSERVE_H
#define _FUZZ_OPS_OBSERVE_H

#include "model.h"
#include "report.h"

enum attr { A_ENABLED, A_TRANSITION, A_REPLACE, A_STACK_ORDER, A_PROGRESS, A_BLOCKERS,
	    A_TRANSITION_US, A_TRANSITION_END, A_TRANSITION_FORCED, A_FORCE, NR_ATTRS };

extern const char * const attrs[NR_ATTRS];	/* their names */

expect_fn expect_attr;		/* slot, attribute */
expect_fn expect_list;		/* of letters */
expect_fn expect_refs;		/* slot */
expect_fn expect_own_output;	/* fn */
expect_fn expect_new_output;	/* fn */

/* What the universe's fn prints. */
const char *output(const struct state *m, enum fn fn, enum universe u);

/* What differs from one time to the other is made alike. */
void canonical(enum attr attr, char *text);

/* What may be looked at while something moves, and what there is. */
void check_some(void);
void check_all(void);

#endif /* _FUZZ_OPS_OBSERVE_H */
