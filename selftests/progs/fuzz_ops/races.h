/* SPDX-License-Identifier: GPL-2.0 */
/* Operations that race. */
#ifndef _FUZZ_OPS_RACES_H
#define _FUZZ_OPS_RACES_H

/* Ends a race for a patch: it is off. */
void turn_off(int slot);

/* One writer that does not wait for the end of anything. */
void burst(int slot);

/* Several writers at once, and a target (-1: none) that comes or goes meanwhile. */
void race_writers(int slot, int target);

/* Something is tried until it is no longer too early: EBUSY, or the errno early. */
void until_not_early(int slot, int (*try)(int slot), int early);

#endif /* _FUZZ_OPS_RACES_H */
