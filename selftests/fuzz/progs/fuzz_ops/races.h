/* SPDX-License-Identifier: GPL-2.0 */
/* Operations that race. */
#ifndef _FUZZ_OPS_RACES_H
#define _FUZZ_OPS_RACES_H

/* Makes the outcome of a race certain: the patch is disabled. */
void ensure_disabled(int slot);

/* A burst of writes by this process, which does not wait for their effects. */
void burst_of_writes(int slot);

/* Several writers at once, while a target (-1: none) is loaded or unloaded. */
void race_writers(int slot, int target);

/* Calls try() until it returns neither EBUSY nor the errno busy. */
void retry_while_busy(int slot, int (*try)(int slot), int busy);

#endif /* _FUZZ_OPS_RACES_H */
