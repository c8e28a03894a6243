// SPDX-License-Identifier: GPL-2.0
/*
 * Random operations on the loader, checked against a model after each.
 *
 *   fuzz_ops SEED STEPS SECONDS PINS
 *	end after so many steps, or after the first step that ends later than so many
 *	seconds (0: no such limit); let at most PINS patches leave by force, which keeps
 *	their modules for ever. The same seed makes the same operations in the same order, if
 *	PINS are the same and the loader is kept, or not, by a patch that left so before.
 *
 * The model is not one state but the set of all states that the loader may be in: tasks
 * move, transitions end and patches part with their modules when they like. An operation
 * keeps those states in which it would have had the result that it had, and what is read
 * keeps those in which it would read so. If none is left, the loader did what it must not.
 *
 * After each step all comes to rest, and one state is left, which depends on the
 * operations alone. The next step is chosen by the seed and by that state, hence replay.
 * Where operations race within a step, it ends with what makes its outcome certain.
 *
 * The files, each of which needs only those before it: model, states, random, report,
 * files, observe, operations, settle, races, describe, choose, and this one, whose
 * clean_up() is what report ends with when something is wrong.
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

/* Whatever state it is in. */
void clean_up(void)
{
	for (int i = 0; i < NR_SLEEPERS; i++)
		if (sleeper_pids[i])
			kill(sleeper_pids[i], SIGKILL);
	for (int i = 0; i < NR_NOISE; i++)
		if (noise[i])
			kill(noise[i], SIGKILL);
	put("/sys/module/rlp_target/parameters/awake", "Y");
	for (int pass = 0; pass < 100; pass++) {
		bool left = false;

		for (int slot = 0; slot < NR_SLOTS; slot++) {
			put(slot_file(slot, "enabled"), "0");
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

/* All goes the way it came. */
static void finish(void)
{
	set_noise(false);
	if (set[0].here[T_RLP])
		wake_sleepers();
	settle();
	for (int slot = NR_SLOTS - 1; slot >= 0; slot--)
		if (set[0].slots[slot].life == IN_USE)
			turn_off(slot);
	for (int slot = 0; slot < NR_SLOTS; slot++) {
		if (!set[0].slots[slot].loaded)
			continue;
		op("unload %c", 'a' + slot);
		unload_patch(slot);
	}
	for (int target = 0; target < NR_TARGETS; target++)
		if (set[0].here[target])
			unload_target(target);
	settle();
	if (set[0].loader) {
		set_promote(1);
		settle_hooks();
		use_loader(0);
	}
	settle();
	if (!hooked_as_first())
		wrong("something stays hooked");
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
	get(fns[F_CMDLINE].file, fns[F_CMDLINE].original, sizeof(fns[0].original));
	get(fns[F_VERSION].file, fns[F_VERSION].original, sizeof(fns[0].original));
	remember_first();

	m.loader = m.promote = look_round();
	begin_set(&m);
	if (m.loader)
		set_promote(1);
	else
		use_loader(1);
	load_target(T_RLP, 0);
	settle();
	while ((!steps || (long)step < steps) && (!seconds || now() - began < seconds)) {
		step++;
		one_step();
		settle();
	}
	finish();
	summary(now() - began);
	return 0;
}
