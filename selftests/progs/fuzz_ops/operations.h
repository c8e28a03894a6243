/* SPDX-License-Identifier: GPL-2.0 */
/* Single operations. */
#ifndef _FUZZ_OPS_OPERATIONS_H
#define _FUZZ_OPS_OPERATIONS_H

#include <stdbool.h>
#include <sys/types.h>

#include "model.h"

#define NR_NOISE 2
extern pid_t sleeper_pids[NR_SLEEPERS], noise[NR_NOISE];	/* 0: none */

/* These say what they are, those below do not. */
void write_enabled(int slot, int value);
void write_force(int slot, int value);
void write_junk(int slot);
int load(int slot, int desc);
void load_target(int target, int init_ret);
void unload_target(int target);
void use_loader(int in);
void set_promote(int promote);
void put_sleeper(int at);
void kill_sleeper(int at);
void wake_sleepers(void);
void read_as_newborn(void);
void set_noise(bool on);

void write_enabled_plainly(int slot, int value);
int again(int slot);
int unload_patch(int slot);

/* A child that does as told and dies with us. */
pid_t child(const char *name);

#endif /* _FUZZ_OPS_OPERATIONS_H */
