/* SPDX-License-Identifier: GPL-2.0 */
/* The choice of the next step. */
#ifndef _FUZZ_OPS_CHOOSE_H
#define _FUZZ_OPS_CHOOSE_H

extern long pins_left;	/* so many patches more may leave by force */

void one_step(void);

#endif /* _FUZZ_OPS_CHOOSE_H */
