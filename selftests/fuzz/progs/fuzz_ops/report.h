/* SPDX-License-Identifier: GPL-2.0 */
/* The log of the operations, and the checks of results against the set of states. */
#ifndef _FUZZ_OPS_REPORT_H
#define _FUZZ_OPS_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "model.h"

extern uint64_t seed;
extern unsigned long step, nr_ops;
extern bool verbose;	/* print each operation */

/* Logs the next operation. The digest over all logged text is the same for the same seed. */
__attribute__((format(printf, 1, 2))) void log_op(const char *fmt, ...);

/*
 * Checks the result of the operation fn: got is an errno or 0. Keeps only the states in which this
 * result is possible, and lets fn change them.
 */
void check_result(op_fn *fn, const long *args, int got);

/* Stores the text that would be read in this state, or "?" if any text may be read. */
typedef void expect_fn(const struct state *m, const long *args, char *text);

/*
 * Checks a text that was read. The parameter found has the text, and what has the file's name for
 * messages. Keeps the states in which this text is possible.
 */
void observe(const char *what, expect_fn *fn, const long *args, const char *found);

/* Prints the last operations and the possible states, cleans up, and exits with an error. */
__attribute__((format(printf, 1, 2), noreturn)) void mismatch(const char *fmt, ...);

/* Prints the numbers of a run without a mismatch. */
void summary(double seconds);

/* Called by mismatch(). Defined in main.c. */
void clean_up(void);

#endif /* _FUZZ_OPS_REPORT_H */
