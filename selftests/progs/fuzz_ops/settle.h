/* SPDX-License-Identifier: GPL-2.0 */
/* Coming to rest. */
#ifndef _FUZZ_OPS_SETTLE_H
#define _FUZZ_OPS_SETTLE_H

#include <stdbool.h>

/* Hooks and taint, before anything is done; and are hooks so again? */
void remember_first(void);
bool hooked_as_first(void);

/* One state is left, and the machine looks like it. */
void settle(void);

/* When nothing moves for a while, functions jump, and only those of patches are hooked. */
void settle_hooks(void);

#endif /* _FUZZ_OPS_SETTLE_H */
