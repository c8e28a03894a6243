/* SPDX-License-Identifier: GPL-2.0 */
/* Random numbers, which are the same for the same seed. */
#ifndef _FUZZ_OPS_RANDOM_H
#define _FUZZ_OPS_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

void seed_random(uint64_t seed);
uint64_t draw(void);
unsigned int below(unsigned int n);
bool percent(unsigned int n);	/* true so often */

#endif /* _FUZZ_OPS_RANDOM_H */
