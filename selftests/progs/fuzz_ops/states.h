/* SPDX-License-Identifier: GPL-2.0 */
/* The set of all states that the loader may be in. */
#ifndef _FUZZ_OPS_STATES_H
#define _FUZZ_OPS_STATES_H

#include "model.h"

extern struct state *set;
extern int nr_states, largest;	/* of the set: how many there are, and were at most */
extern int toggling;	/* this slot's "enabled" is written by others meanwhile; or -1 */

/* The set of one, when all begins; and later. */
void begin_set(const struct state *m);
void only(const struct state *m);

/* Keeps what keep() says, as keep() leaves it. */
void filter(bool (*keep)(struct state *m, void *data), void *data);

/* Adds all that those in it may come to by themselves. */
void close_set(void);

/* Does it come to nothing else by itself? */
bool at_rest(const struct state *m);

#endif /* _FUZZ_OPS_STATES_H */
