// SPDX-License-Identifier: GPL-2.0
/*
 * Waiting until the loader is at rest: then a single state is left, and the machine matches it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "files.h"
#include "observe.h"
#include "operations.h"
#include "report.h"
#include "settle.h"
#include "states.h"

/* Returns whether the machine matches this state. */
static bool machine_matches(const struct state *m)
{
	char text[4097], expected[TEXT];
	unsigned int moved, all;

	expect_list(m, NULL, expected);
	if (strcmp(list_patches(), expected))
		return false;
	for (int slot = 0; slot < NR_SLOTS; slot++) {
		long args[] = { slot, A_TRANSITION };

		if (!m->slots[slot].loaded)
			continue;
		expect_refs(m, args, expected);
		if (strcmp(read_file(module_file(slot, "refcnt"), text, sizeof(text)), expected))
			return false;
		expect_attr(m, args, expected);
		read_file(slot_file(slot, "transition"), text, sizeof(text));
		canonicalize(NR_ATTRS, text);
		if (strcmp(text, expected))
			return false;
		if (in_transition(m, slot) &&
		    (sscanf(read_file(slot_file(slot, "progress"), text, sizeof(text)), "%u %u",
			    &moved, &all) != 2 || all - moved != (unsigned int)nr_blocking(m)))
			return false;
	}
	return true;
}

/* Returns whether the file "blockers" names exactly the sleepers that block the transition. */
static bool blockers_match(const struct state *m, char *text, size_t size)
{
	char line[100];
	int lines = 0;

	if (m->transition == NO_TRANSITION)
		return true;
	read_file(slot_file(m->changing_slot, "blockers"), text, size);
	/* A line of a task begins with its pid, and a line that counts tasks does not. */
	for (char *c = text; c; c = strchr(c, '\n')) {
		c += *c == '\n';
		lines += *c >= '0' && *c <= '9';
	}
	if (lines != nr_blocking(m))
		return false;
	for (int i = 0; i < NR_SLEEPERS; i++) {
		snprintf(line, sizeof(line), "%d fuzz sleeper inside sleep_show",
			 sleeper_pids[i]);
		if (sleeper_blocks(m, i) && !strstr(text, line))
			return false;
	}
	return true;
}

static long taint(void)
{
	char text[32];

	return atol(read_file("/proc/sys/kernel/tainted", text, sizeof(text))) & (1 << 9 | 1 << 7);
}

/* For each of fns[], counts the hooked functions of its name in ftrace's list. */
static void count_hooked(int *counts)
{
	FILE *file = fopen("/sys/kernel/tracing/enabled_functions", "r");
	char line[512], name[200];

	memset(counts, 0, NR_FNS * sizeof(*counts));
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%199s", name) != 1)
			continue;
		for (int fn = 0; fn < NR_FNS; fn++)
			counts[fn] += !strcmp(name, fns[fn].name);
	}
	if (file)
		fclose(file);
}

/*
 * Patched functions must be hooked, also during a transition. Other functions may still be hooked
 * for a while.
 */
static bool patched_functions_hooked(const struct state *m)
{
	int counts[NR_FNS];

	count_hooked(counts);
	for (int fn = 0; fn < NR_FNS; fn++)
		if (!counts[fn] &&
		    (replacing_slot(m, fn, OLD) >= 0 || replacing_slot(m, fn, NEW) >= 0))
			return false;
	return true;
}

static long start_taint;

void wait_for_rest(void)
{
	double deadline = now() + REST_TIMEOUT;
	char text[4097] = "";

	check_some();
	for (;;) {
		add_successors();
		for (int i = 0; i < nr_states; i++) {
			if (!at_rest(&set[i]) || !machine_matches(&set[i]) ||
			    !blockers_match(&set[i], text, sizeof(text)))
				continue;
			set_single(&set[i]);
			goto found;
		}
		if (now() > deadline)
			mismatch("the loader does not come to rest; the last blockers:\n%s", text);
		usleep(2000);
		check_some();
	}
found:
	check_all();
	if (nr_states != 1 || !at_rest(&set[0]))
		mismatch("the loader is no longer at rest");
	if (!patched_functions_hooked(&set[0]))
		mismatch("a patched function is not hooked");
	if (taint() != start_taint)
		mismatch("the kernel warned");
	for (int i = 0; i < NR_NOISE; i++) {
		int status;

		if (noise[i] && waitpid(noise[i], &status, WNOHANG) > 0) {
			noise[i] = 0;
			mismatch("a reader ended with status %x", status);
		}
	}
}

static int start_hooks[NR_FNS];

void remember_start(void)
{
	count_hooked(start_hooks);
	start_taint = taint();
}

bool hooks_as_at_start(void)
{
	int counts[NR_FNS];

	count_hooked(counts);
	return !memcmp(counts, start_hooks, sizeof(counts));
}

static const char *hooks_mismatch(const struct state *m)
{
	static char text[400];
	int counts[NR_FNS], twins;

	count_hooked(counts);
	twins = (replacing_slot(m, F_TWIN1, NEW) >= 0) + (replacing_slot(m, F_TWIN2, NEW) >= 0);
	for (int fn = 0; fn < NR_FNS; fn++) {
		int expected = replacing_slot(m, fn, NEW) >= 0;

		if (fn == F_TWIN1 || fn == F_TWIN2)
			expected = twins;
		/* No target is loaded at the start: start_hooks[] is 0 for its functions. */
		if (counts[fn] != expected + start_hooks[fn]) {
			sprintf(text, "%s is hooked %d times", fns[fn].name, counts[fn]);
			return text;
		}
	}
	for (int i = 0; i < m->nr_order; i++) {
		const struct desc *d = &descs[m->slots[m->order[i]].desc];

		for (int j = 0; j < d->nr; j++) {
			char mode[64];

			if (!present(m, d->funcs[j].object))
				continue;
			read_file(func_file(m->order[i], &d->funcs[j], "mode"), mode, sizeof(mode));
			if (!strcmp(mode, m->promote ? "jump" : "handler off") ||
			    !strcmp(mode, "handler unsupported"))
				continue;
			sprintf(text, "%s reads '%s'",
				func_file(m->order[i], &d->funcs[j], "mode"), mode);
			return text;
		}
	}
	return NULL;
}

void settle_hooks(void)
{
	double deadline = now() + REST_TIMEOUT;
	const char *why;

	log_op("wait for the hooks to settle");
	while ((why = hooks_mismatch(&set[0]))) {
		if (now() > deadline)
			mismatch("the hooks do not settle: %s", why);
		usleep(20000);
	}
	check_all();
}
