/* SPDX-License-Identifier: GPL-2.0 */
/* Waiting until the loader is at rest. */
#ifndef _FUZZ_OPS_SETTLE_H
#define _FUZZ_OPS_SETTLE_H

#include <stdbool.h>

/* Records the hooked functions and the taint before the first operation. */
void remember_start(void);

/* Returns whether the same functions are hooked as at the start. */
bool hooks_as_at_start(void);

/* Waits until a single state is left, this state is at rest, and the machine matches it. */
void wait_for_rest(void);

/*
 * Waits until patched functions are promoted (with promote=N: under the handler), and no other
 * functions are hooked.
 */
void settle_hooks(void);

#endif /* _FUZZ_OPS_SETTLE_H */
