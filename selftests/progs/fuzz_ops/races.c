// SPDX-License-Identifier: GPL-2.0
/*
 * Races: what is not over when the next thing is done. Each ends with what makes its
 * outcome certain.
 */
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "files.h"
#include "observe.h"
#include "operations.h"
#include "races.h"
#include "random.h"
#include "report.h"
#include "settle.h"
#include "states.h"

/* Ends a race for a patch: it is off. */
void turn_off(int slot)
{
	settle();
	if (set[0].slots[slot].life == IN_USE && enabled(&set[0], slot))
		write_enabled_plainly(slot, 0);
	settle();
	if (set[0].slots[slot].life != NONE)
		wrong("%c cannot be disabled", 'a' + slot);
}

/* One writer that does not wait for the end of anything. */
void burst(int slot)
{
	int n = 1 + below(8);

	op("burst of writes to %c", 'a' + slot);
	while (n--) {
		if (percent(70))
			write_enabled(slot, below(2));
		else if (percent(50))
			write_junk(slot);
		else
			write_force(slot, 0);
		if (percent(30))
			usleep(below(20000));
		if (percent(50))
			check_some();
	}
	turn_off(slot);
}

static void toggle(int slot, uint64_t own)
{
	seed_random(own);
	for (int i = 0; i < 60; i++) {
		int ret = put(slot_file(slot, "enabled"), below(2) ? "1" : "0");

		if (ret && ret != EINVAL && ret != EBUSY && ret != ENOENT && ret != ENODEV)
			_exit(10 + ret);
		if (!below(8))
			usleep(below(3000));
	}
	_exit(0);
}

/* Several writers at once, and maybe a target that comes or goes meanwhile. */
void race_writers(int slot, int target)
{
	uint64_t own = draw();
	pid_t pids[2];

	op("two toggle %c", 'a' + slot);
	toggling = slot;
	for (int i = 0; i < 2; i++) {
		pids[i] = child("fuzz toggle");
		if (!pids[i])
			toggle(slot, own + i);
	}
	if (target >= 0) {
		if (set[0].here[target])
			unload_target(target);
		else
			load_target(target, 0);
	}
	for (int i = 0; i < 2; i++) {
		int status;

		waitpid(pids[i], &status, 0);
		if (status)
			wrong("a writer ended with status %x", status);
	}
	close_set();
	toggling = -1;
	turn_off(slot);
}

/* Something is tried until it is no longer too early. */
void until_not_early(int slot, int (*try)(int slot), int early)
{
	double deadline = now() + PATIENCE;

	for (;;) {
		int ret = try(slot);

		if (ret != EBUSY && ret != early)
			return;
		if (now() > deadline)
			wrong("it is too early for ever");
		usleep(500);
	}
}
