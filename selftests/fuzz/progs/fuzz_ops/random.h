/* SPDX-License-Identifier: GPL-2.0 */
/* Random numbers that are the same for the same seed. */
#ifndef _FUZZ_OPS_RANDOM_H
#define _FUZZ_OPS_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

void seed_random(uint64_t seed);
uint64_t draw(void);
unsigned int random_below(unsigned int n);	/* from 0 to n - 1 */
bool percent(unsigned int n);		/* true in n percent of all calls */

#endif /* _FUZZ_OPS_RANDOM_H */
