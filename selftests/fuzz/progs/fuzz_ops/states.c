// SPDX-License-Identifier: GPL-2.0
/*
 * The set of all states that the loader may be in, and how they change without an operation.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "states.h"

#define MAX_STATES 20000

struct state *set;
int nr_states, largest;
int contended_slot = -1;
static int hash_table[65536];	/* 0, or 1 + an index into set */

static uint32_t hash(const struct state *m)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < sizeof(*m); i++)
		h = (h ^ ((const uint8_t *)m)[i]) * 16777619u;
	return h;
}

static void add(const struct state *m)
{
	uint32_t at = hash(m);

	for (;; at++) {
		int i = hash_table[at & 65535];

		if (!i)
			break;
		if (!memcmp(&set[i - 1], m, sizeof(*m)))
			return;
	}
	if (nr_states == MAX_STATES) {
		fprintf(stderr, "fuzz_ops: too many states\n");
		exit(2);
	}
	set[nr_states++] = *m;
	hash_table[at & 65535] = nr_states;
	if (nr_states > largest)
		largest = nr_states;
}

void filter(bool (*keep)(struct state *m, void *data), void *data)
{
	int nr = nr_states;
	static struct state next;

	nr_states = 0;
	memset(hash_table, 0, sizeof(hash_table));
	for (int i = 0; i < nr; i++) {
		next = set[i];
		if (keep(&next, data))
			add(&next);
	}
}

/* Calls found() for each state that m may change to without an operation, in one step. */
static void for_each_successor(const struct state *m, void (*found)(const struct state *))
{
	struct state n;
	bool all = true;

	if (m->transition != NO_TRANSITION) {
		if (m->own_universe != m->target) {
			all = false;
			n = *m;
			n.own_universe = m->target;
			found(&n);
		}
		for (int i = 0; i < NR_SLEEPERS; i++) {
			if (!m->sleepers[i] || m->sleepers[i] - 1 == m->target)
				continue;
			all = false;
			if (sleeper_blocks(m, i))
				continue;
			n = *m;
			n.sleepers[i] = m->target + 1;
			found(&n);
		}
		if (all) {
			n = *m;
			complete(&n);
			found(&n);
		}
	}
	for (int i = 0; i < NR_SLOTS; i++) {
		if (m->slots[i].life == RETIRED) {
			n = *m;
			n.slots[i].life = NONE;
			if (n.slots[i].forced)
				n.slots[i].pins++;
			else
				n.slots[i].puts++;
			n.slots[i].forced = 0;
			found(&n);
		}
		if (m->slots[i].puts) {
			n = *m;
			n.slots[i].puts--;
			found(&n);
		}
	}
	for (long value = 0; contended_slot >= 0 && value < 2; value++) {
		n = *m;
		if (!op_enabled(&n, (long[]){ contended_slot, value }))
			found(&n);
	}
}

void add_successors(void)
{
	struct state m;

	for (int i = 0; i < nr_states; i++) {
		m = set[i];
		for_each_successor(&m, add);
	}
}

static int nr_successors;

static void count_successor(const struct state *m)
{
	nr_successors++;
}

bool at_rest(const struct state *m)
{
	nr_successors = 0;
	for_each_successor(m, count_successor);
	return nr_successors == 0;
}

void set_single(const struct state *m)
{
	struct state copy = *m;

	nr_states = 0;
	memset(hash_table, 0, sizeof(hash_table));
	add(&copy);
}

void begin_set(const struct state *m)
{
	set = calloc(MAX_STATES, sizeof(*set));
	add(m);
}
