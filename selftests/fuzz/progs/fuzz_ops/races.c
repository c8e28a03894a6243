// SPDX-License-Identifier: GPL-2.0
/*
 * Races: operations that start before an earlier operation has had its full effect. Each race
 * ends with operations that make its outcome certain.
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

void ensure_disabled(int slot)
{
	wait_for_rest();
	if (set[0].slots[slot].life == IN_USE && enabled(&set[0], slot))
		write_enabled_unlogged(slot, 0);
	wait_for_rest();
	if (set[0].slots[slot].life != NONE)
		mismatch("%c cannot be disabled", 'a' + slot);
}

void burst_of_writes(int slot)
{
	int n = 1 + random_below(8);

	log_op("burst of writes to %c", 'a' + slot);
	while (n--) {
		if (percent(70))
			write_enabled(slot, random_below(2));
		else if (percent(50))
			write_junk(slot);
		else
			write_force(slot, 0);
		if (percent(30))
			usleep(random_below(20000));
		if (percent(50))
			check_some();
	}
	ensure_disabled(slot);
}

static void toggle(int slot, uint64_t own)
{
	seed_random(own);
	for (int i = 0; i < 60; i++) {
		int ret = write_file(slot_file(slot, "enabled"), random_below(2) ? "1" : "0");

		if (ret && ret != EINVAL && ret != EBUSY && ret != ENOENT && ret != ENODEV)
			_exit(10 + ret);
		if (!random_below(8))
			usleep(random_below(3000));
	}
	_exit(0);
}

void race_writers(int slot, int target)
{
	uint64_t own = draw();
	pid_t pids[2];

	log_op("two processes toggle %c", 'a' + slot);
	contended_slot = slot;
	for (int i = 0; i < 2; i++) {
		pids[i] = fork_child("fuzz toggle");
		if (!pids[i])
			toggle(slot, own + i);
	}
	if (target >= 0) {
		if (set[0].target_loaded[target])
			unload_target(target);
		else
			load_target(target, 0);
	}
	for (int i = 0; i < 2; i++) {
		int status;

		waitpid(pids[i], &status, 0);
		if (status)
			mismatch("a writer ended with status %x", status);
	}
	add_successors();
	contended_slot = -1;
	ensure_disabled(slot);
}

void retry_while_busy(int slot, int (*try)(int slot), int busy)
{
	double deadline = now() + REST_TIMEOUT;

	for (;;) {
		int ret = try(slot);

		if (ret != EBUSY && ret != busy)
			return;
		if (now() > deadline)
			mismatch("still busy after %d seconds", REST_TIMEOUT);
		usleep(500);
	}
}
