/* SPDX-License-Identifier: GPL-2.0 */
/* Single operations. */
#ifndef _FUZZ_OPS_OPERATIONS_H
#define _FUZZ_OPS_OPERATIONS_H

#include <stdbool.h>
#include <sys/types.h>

#include "model.h"

#define NR_NOISE 2
extern pid_t sleeper_pids[NR_SLEEPERS], noise[NR_NOISE];	/* 0: no such process */

/* These functions call log_op() themselves. */
void write_enabled(int slot, int value);
void write_force(int slot, int value);
void write_junk(int slot);
int load_patch(int slot, int desc);
void load_target(int target, int init_ret);
void unload_target(int target);
void set_loader(int loaded);
void set_promote(int promote);
void start_sleeper(int at);
void kill_sleeper(int at);
void wake_sleepers(void);
void read_as_newborn(void);
void set_noise(bool on);

/* These do not: the caller calls log_op(). */
void write_enabled_unlogged(int slot, int value);
int enable_again(int slot);
int unload_patch(int slot);

/* fork(): the child gets this name, and is killed when its parent exits. */
pid_t fork_child(const char *name);

#endif /* _FUZZ_OPS_OPERATIONS_H */
