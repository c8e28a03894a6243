// SPDX-License-Identifier: GPL-2.0
/*
 * Do random operations on the loader, and check the loader against a model after each.
 *
 *   fuzz_ops SEED STEPS SECONDS PINS [-v]
 *	End after STEPS steps, or after the first step that ends later than SECONDS seconds
 *	(0: no such limit). Let at most PINS patches, and at most 4, be retired by force; their
 *	modules stay loaded for ever. The same seed gives the same operations in the same order
 *	if two conditions are the same: PINS, and whether an earlier patch that was retired by
 *	force keeps the loader from being unloaded.
 *
 * The model is not a single state but the set of all states that the loader may be in. It must
 * be a set because tasks are switched, transitions complete and module references are put at
 * times that this program does not control. Each operation removes the states in which its
 * result would not be possible. Each read removes the states in which the text that was read
 * would not be possible. If no state is left, the loader has a bug.
 *
 * After each step the program waits until the loader is at rest. Then a single state is left,
 * which depends on the operations alone. The seed and that state determine the next step, so a
 * run can be replayed. If operations race within a step, the step ends with operations that
 * make its outcome certain.
 *
 * Each file uses only the files before it in this list: model, states, random, report, files,
 * observe, operations, settle, races, describe, choose, main. There is one exception: report.c
 * calls clean_up() of this file after a mismatch.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "choose.h"
#include "files.h"
#include "operations.h"
#include "races.h"
#include "random.h"
#include "report.h"
#include "settle.h"
#include "states.h"

/* Unloads everything, whatever state the loader is in. */
void clean_up(void)
{
	for (int i = 0; i < NR_SLEEPERS; i++)
		if (sleeper_pids[i])
			kill(sleeper_pids[i], SIGKILL);
	for (int i = 0; i < NR_NOISE; i++)
		if (noise[i])
			kill(noise[i], SIGKILL);
	write_file("/sys/module/rlp_target/parameters/awake", "Y");
	for (int pass = 0; pass < 100; pass++) {
		bool left = false;

		for (int slot = 0; slot < NR_SLOTS; slot++) {
			write_file(slot_file(slot, "enabled"), "0");
			if (unload_slot(slot) == EAGAIN)
				left = true;
		}
		if (!left)
			break;
		usleep(100000);
	}
	for (int i = 0; i < NR_TARGETS; i++)
		unload(objects[i]);
}

/* Disables and unloads everything, and checks that nothing is left hooked. */
static void finish(void)
{
	set_noise(false);
	if (set[0].target_loaded[T_RLP])
		wake_sleepers();
	wait_for_rest();
	for (int slot = NR_SLOTS - 1; slot >= 0; slot--)
		if (set[0].slots[slot].life == IN_USE)
			ensure_disabled(slot);
	for (int slot = 0; slot < NR_SLOTS; slot++) {
		if (!set[0].slots[slot].loaded)
			continue;
		log_op("unload %c", 'a' + slot);
		unload_patch(slot);
	}
	for (int target = 0; target < NR_TARGETS; target++)
		if (set[0].target_loaded[target])
			unload_target(target);
	wait_for_rest();
	if (set[0].loader) {
		set_promote(1);
		settle_hooks();
		set_loader(0);
	}
	wait_for_rest();
	if (!hooks_as_at_start())
		mismatch("a function is still hooked");
}

int main(int argc, char **argv)
{
	struct state m = {};
	long steps, seconds;
	double began = now();

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 5) {
		fprintf(stderr, "usage: fuzz_ops SEED STEPS SECONDS PINS [-v]\n");
		return 2;
	}
	seed = strtoull(argv[1], NULL, 0);
	seed_random(seed);
	steps = atol(argv[2]);
	seconds = atol(argv[3]);
	pins_left = atol(argv[4]) < 4 ? atol(argv[4]) : 4;
	verbose = argc > 5;
	read_images();
	read_file(fns[F_CMDLINE].file, fns[F_CMDLINE].original, sizeof(fns[0].original));
	read_file(fns[F_VERSION].file, fns[F_VERSION].original, sizeof(fns[0].original));
	remember_start();

	m.loader = m.promote = find_loader();
	begin_set(&m);
	if (m.loader)
		set_promote(1);
	else
		set_loader(1);
	load_target(T_RLP, 0);
	wait_for_rest();
	while ((!steps || (long)step < steps) && (!seconds || now() - began < seconds)) {
		step++;
		one_step();
		wait_for_rest();
	}
	finish();
	summary(now() - began);
	return 0;
}
