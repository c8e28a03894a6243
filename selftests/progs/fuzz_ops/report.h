/* SPDX-License-Identifier: GPL-2.0 */
/* What is said, and what is told to the set of states. */
#ifndef _FUZZ_OPS_REPORT_H
#define _FUZZ_OPS_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "model.h"

extern uint64_t seed;
extern unsigned long step, nr_ops;
extern bool verbose;	/* each operation is printed */

/* Says what comes. The sum over all of this is the same for the same seed. */
__attribute__((format(printf, 1, 2))) void op(const char *fmt, ...);

/* The operation fn was made, and ended with this errno. */
void did(op_fn *fn, const long *args, int got);

/* What would be read in this state; "?" if that is not known. */
typedef void expect_fn(const struct state *m, const long *args, char *text);

/* What reads so was read. */
void observe(const char *what, expect_fn *fn, const long *args, const char *found);

/* The end, with all that helps to find out why. */
__attribute__((format(printf, 1, 2), noreturn)) void wrong(const char *fmt, ...);

/* The end, if all went well. */
void summary(double seconds);

/* What wrong() ends with; in main.c. */
void clean_up(void);

#endif /* _FUZZ_OPS_REPORT_H */
