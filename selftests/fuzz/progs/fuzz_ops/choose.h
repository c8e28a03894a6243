/* SPDX-License-Identifier: GPL-2.0 */
/* The choice of the next step. */
#ifndef _FUZZ_OPS_CHOOSE_H
#define _FUZZ_OPS_CHOOSE_H

extern long pins_left;	/* how many more patches may be retired by force */

void one_step(void);

#endif /* _FUZZ_OPS_CHOOSE_H */
