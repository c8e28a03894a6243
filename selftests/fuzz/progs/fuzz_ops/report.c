// SPDX-License-Identifier: GPL-2.0
/*
 * The checks of results and of read text: each keeps the states in which the result or the text
 * is possible. If no state is left, the last operations are printed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "states.h"

uint64_t seed;
unsigned long step, nr_ops;
bool verbose;

static unsigned long counted[3];	/* operations done, refused; values read */
static uint64_t digest = 14695981039346656037u;
static char recent_operations[40][160];

void log_op(const char *fmt, ...)
{
	char *text = recent_operations[nr_ops % 40];
	va_list ap;
	int n = snprintf(text, sizeof(recent_operations[0]), "%lu: ", step);

	va_start(ap, fmt);
	vsnprintf(text + n, sizeof(recent_operations[0]) - n, fmt, ap);
	va_end(ap);
	for (char *c = text; *c; c++)
		digest = (digest ^ (uint8_t)*c) * 1099511628211u;
	nr_ops++;
	if (verbose)
		printf("# %s\n", text);
}

static void show_result(int got)
{
	char *text = recent_operations[(nr_ops - 1) % 40];
	size_t n = strlen(text);

	snprintf(text + n, sizeof(recent_operations[0]) - n, " = %s",
		 got ? strerrorname_np(got) : "0");
}

static void print_state(const struct state *m)
{
	static const char * const names[] = { "none", "enabling", "replacing", "disabling" };

	printf("#   order");
	for (int i = 0; i < m->nr_order; i++)
		printf(" %c", 'a' + m->order[i]);
	if (m->transition != NO_TRANSITION)
		printf("; %c %s to %s%s, this process in %s", 'a' + m->changing_slot,
		       names[m->transition],
		       m->target ? "new" : "old", m->forced ? " (forced)" : "",
		       m->own_universe ? "new" : "old");
	for (int i = 0; i < NR_SLEEPERS; i++)
		if (m->sleepers[i])
			printf("; sleeper in %s%s", m->sleepers[i] == 2 ? "new" : "old",
			       sleeper_blocks(m, i) ? " (blocking)" : "");
	for (int i = 0; i < NR_SLOTS; i++) {
		const struct slot *s = &m->slots[i];

		if (s->loaded)
			printf("; %c%s%s puts %d pins %d: %s", 'a' + i,
			       s->life == RETIRED ? " retired" : "", s->ended ? " ended" : "",
			       s->puts, s->pins, descs[s->desc].params);
	}
	printf("; targets %d %d awake %d loader %d promote %d\n", m->target_loaded[0],
	       m->target_loaded[1], m->awake, m->loader, m->promote);
}

void mismatch(const char *fmt, ...)
{
	va_list ap;

	printf("# the last operations:\n");
	for (unsigned long i = nr_ops > 40 ? nr_ops - 40 : 0; i < nr_ops; i++)
		printf("#   %s\n", recent_operations[i % 40]);
	printf("# states that were possible: %d\n", nr_states);
	for (int i = 0; i < nr_states && i < 8; i++)
		print_state(&set[i]);
	printf("# MISMATCH with RLP_SEED=%llu in step %lu: ", (unsigned long long)seed, step);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
	clean_up();
	exit(1);
}

struct applied {
	op_fn *fn;
	const long *args;
	int got;
};

static bool keep_result(struct state *m, void *data)
{
	struct applied *a = data;
	int ret = a->fn(m, a->args);

	return ret == a->got || ret == GONE_OR + a->got ||
	       (ret >= GONE && (a->got == ENOENT || a->got == ENODEV));
}

/* Adds an expected value to text, unless text contains it already. */
static void add_alternative(char *text, size_t size, const char *more)
{
	char quoted[TEXT + 8];

	snprintf(quoted, sizeof(quoted), " '%s'", more);
	if (!strstr(text, quoted))
		snprintf(text + strlen(text), size - strlen(text), "%s", quoted);
}

void check_result(op_fn *fn, const long *args, int got)
{
	struct applied a = { fn, args, got };
	char expected[3 * TEXT] = "";
	static struct state before[8];
	int nr;

	show_result(got);
	counted[got ? 1 : 0]++;
	add_successors();
	nr = nr_states < 8 ? nr_states : 8;
	memcpy(before, set, nr * sizeof(*before));
	for (int i = 0; i < nr_states; i++) {
		struct state m = set[i];
		int ret = fn(&m, args);

		if (ret >= GONE)
			add_alternative(expected, sizeof(expected), "ENOENT or ENODEV");
		if (ret == GONE)
			continue;
		ret %= GONE;
		add_alternative(expected, sizeof(expected), ret ? strerrorname_np(ret) : "0");
	}
	filter(keep_result, &a);
	if (!nr_states) {
		memcpy(set, before, nr * sizeof(*before));
		nr_states = nr;
		mismatch("expected one of%s, found '%s'", expected,
			 got ? strerrorname_np(got) : "0");
	}
}

struct observed {
	expect_fn *fn;
	const long *args;
	const char *found;
};

static bool keep_observed(struct state *m, void *data)
{
	struct observed *o = data;
	char text[TEXT];

	o->fn(m, o->args, text);
	return !strcmp(text, "?") || !strcmp(text, o->found);
}

void observe(const char *what, expect_fn *fn, const long *args, const char *found)
{
	struct observed o = { fn, args, found };
	char expected[3 * TEXT] = "", text[TEXT];
	static struct state before[8];
	int nr;

	counted[2]++;
	add_successors();
	nr = nr_states < 8 ? nr_states : 8;
	memcpy(before, set, nr * sizeof(*before));
	for (int i = 0; i < nr_states; i++) {
		fn(&set[i], args, text);
		add_alternative(expected, sizeof(expected), text);
	}
	filter(keep_observed, &o);
	if (!nr_states) {
		memcpy(set, before, nr * sizeof(*before));
		nr_states = nr;
		mismatch("%s: expected one of%s, found '%s'", what, expected, found);
	}
}

void summary(double seconds)
{
	printf("# RLP_SEED=%llu: %lu steps, %lu operations, %lu of them refused, %lu values read, at most %d states, digest %016llx, %.1f s\n",
	       (unsigned long long)seed, step, counted[0] + counted[1], counted[1], counted[2],
	       largest, (unsigned long long)digest, seconds);
}
