// SPDX-License-Identifier: GPL-2.0
/*
 * Coming to rest: one state is left, and the machine looks like it.
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

/* Is this what the machine looks like? */
static bool looks_like(const struct state *m)
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
		if (strcmp(get(module_file(slot, "refcnt"), text, sizeof(text)), expected))
			return false;
		expect_attr(m, args, expected);
		get(slot_file(slot, "transition"), text, sizeof(text));
		canonical(NR_ATTRS, text);
		if (strcmp(text, expected))
			return false;
		if (moves(m, slot) &&
		    (sscanf(get(slot_file(slot, "progress"), text, sizeof(text)), "%u %u",
			    &moved, &all) != 2 || all - moved != (unsigned int)nr_held(m)))
			return false;
	}
	return true;
}

/* Those that hold the transition up, and nobody else, are named. */
static bool blockers_named(const struct state *m, char *text, size_t size)
{
	char line[100];
	int lines = 0;

	if (m->move == STILL)
		return true;
	get(slot_file(m->mover, "blockers"), text, size);
	for (char *c = text; *c; c++)
		lines += c == text || *c == '\n';
	if (lines != nr_held(m))
		return false;
	for (int i = 0; i < NR_SLEEPERS; i++) {
		snprintf(line, sizeof(line), "%d fuzz sleeper inside sleep_show",
			 sleeper_pids[i]);
		if (held(m, i) && !strstr(text, line))
			return false;
	}
	return true;
}

static long taint(void)
{
	char text[32];

	return atol(get("/proc/sys/kernel/tainted", text, sizeof(text))) & (1 << 9 | 1 << 7);
}

/* How many of our functions are hooked, by ftrace's word. */
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

/* Those of patches are hooked, also while tasks move. Others may be, for a while. */
static bool all_hooked(const struct state *m)
{
	int counts[NR_FNS];

	count_hooked(counts);
	for (int fn = 0; fn < NR_FNS; fn++)
		if (!counts[fn] && (winner(m, fn, OLD) >= 0 || winner(m, fn, NEW) >= 0))
			return false;
	return true;
}

static long first_taint;

void settle(void)
{
	double deadline = now() + PATIENCE;
	char text[4097] = "";

	check_some();
	for (;;) {
		close_set();
		for (int i = 0; i < nr_states; i++) {
			if (!at_rest(&set[i]) || !looks_like(&set[i]) ||
			    !blockers_named(&set[i], text, sizeof(text)))
				continue;
			only(&set[i]);
			goto found;
		}
		if (now() > deadline)
			wrong("nothing comes to rest; the last blockers:\n%s", text);
		usleep(2000);
		check_some();
	}
found:
	check_all();
	if (nr_states != 1 || !at_rest(&set[0]))
		wrong("not at rest after all");
	if (!all_hooked(&set[0]))
		wrong("a function of a patch is not hooked");
	if (taint() != first_taint)
		wrong("the kernel warned");
	for (int i = 0; i < NR_NOISE; i++) {
		int status;

		if (noise[i] && waitpid(noise[i], &status, WNOHANG) > 0) {
			noise[i] = 0;
			wrong("a reader ended with status %x", status);
		}
	}
}

static int first_hooked[NR_FNS];

void remember_first(void)
{
	count_hooked(first_hooked);
	first_taint = taint();
}

bool hooked_as_first(void)
{
	int counts[NR_FNS];

	count_hooked(counts);
	return !memcmp(counts, first_hooked, sizeof(counts));
}

static const char *hooks_are_wrong(const struct state *m)
{
	static char text[400];
	int counts[NR_FNS], twins;

	count_hooked(counts);
	twins = (winner(m, F_TWIN1, NEW) >= 0) + (winner(m, F_TWIN2, NEW) >= 0);
	for (int fn = 0; fn < NR_FNS; fn++) {
		int expected = winner(m, fn, NEW) >= 0;

		if (fn == F_TWIN1 || fn == F_TWIN2)
			expected = twins;
		/* Of a target that comes again, nothing was hooked at first. */
		if (counts[fn] != expected + first_hooked[fn]) {
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
			get(func_file(m->order[i], &d->funcs[j], "mode"), mode, sizeof(mode));
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

/* When nothing moves for a while, functions jump, and only those of patches are hooked. */
void settle_hooks(void)
{
	double deadline = now() + PATIENCE;
	const char *why;

	op("nothing for a while");
	while ((why = hooks_are_wrong(&set[0]))) {
		if (now() > deadline)
			wrong("the hooks do not settle: %s", why);
		usleep(20000);
	}
	check_all();
}
