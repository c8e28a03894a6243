/* SPDX-License-Identifier: GPL-2.0 */
/* The set of all states that the loader may be in. */
#ifndef _FUZZ_OPS_STATES_H
#define _FUZZ_OPS_STATES_H

#include "model.h"

extern struct state *set;
extern int nr_states, largest;	/* size of the set: now, and the largest so far */
extern int contended_slot;	/* the slot whose "enabled" other processes are writing to, or -1 */

/* Make m the only state of the set: begin_set() at the start, set_single() later. */
void begin_set(const struct state *m);
void set_single(const struct state *m);

/* Lets keep() change each state, and removes the states for which keep() returns false. */
void filter(bool (*keep)(struct state *m, void *data), void *data);

/* Adds all states that the states of the set may change to without an operation. */
void add_successors(void);

/* Returns whether m is a state that does not change without an operation. */
bool at_rest(const struct state *m);

#endif /* _FUZZ_OPS_STATES_H */
