// SPDX-License-Identifier: GPL-2.0
/*
 * The choice of the next step, by the seed and by the state that is left. Whether a number
 * is drawn does not hang on what the seed does not know: how many pins are left, and whether
 * the loader is kept.
 */
#include <errno.h>

#include "choose.h"
#include "describe.h"
#include "files.h"
#include "operations.h"
#include "races.h"
#include "random.h"
#include "report.h"
#include "settle.h"
#include "states.h"

long pins_left;

static int in_play(int nth)
{
	for (int slot = 0; slot < NR_SLOTS; slot++)
		if (!set[0].slots[slot].pins && !nth--)
			return slot;
	return NR_SLOTS - 1;
}

/* One that the condition is true for, or -1. */
static int pick(bool (*condition)(const struct state *m, int slot))
{
	int some[NR_SLOTS], nr = 0;

	for (int slot = 0; slot < NR_SLOTS; slot++)
		if (condition(&set[0], slot))
			some[nr++] = slot;
	return nr ? some[below(nr)] : -1;
}

static bool is_loaded(const struct state *m, int slot)
{
	return m->slots[slot].loaded;
}

static bool is_free(const struct state *m, int slot)
{
	return m->slots[slot].loaded && m->slots[slot].life == NONE;
}

static bool is_in_use(const struct state *m, int slot)
{
	return m->slots[slot].life == IN_USE;
}

static int nr_sleepers(void)
{
	int n = 0;

	for (int i = 0; i < NR_SLEEPERS; i++)
		n += set[0].sleepers[i] != 0;
	return n;
}

/* How many would stay for ever. */
static int would_pin(const struct state *m)
{
	int n = 0;

	for (int i = 0; i < m->nr_order; i++)
		n += !has(m, m->order[i], m->target);
	return n;
}

/* Has the patch in slot functions that would keep this target out? */
static bool keeps_out(int slot, int target)
{
	const struct desc *d = &descs[set[0].slots[slot].desc];

	for (int i = 0; i < d->nr; i++)
		if (d->funcs[i].bad && (int)d->funcs[i].object == target)
			return true;
	return false;
}

static void change_a_patch(void)
{
	const struct state *m = &set[0];
	int slot = percent(85) ? pick(is_in_use) : in_play(below(NR_IN_PLAY));
	bool dares;

	if (slot < 0)
		return;
	switch (below(10)) {
	case 0 ... 4:
		write_enabled(slot, below(4) == 0);
		break;
	case 5:
		write_junk(slot);
		break;
	case 6:
		write_force(slot, 0);
		break;
	default:
		/* Pins are few, and count only where somebody leaves by it. */
		dares = percent(40);
		if (moves(m, slot) && would_pin(m)) {
			if (would_pin(m) > pins_left || !dares)
				return;
			pins_left -= would_pin(m);
		}
		write_force(slot, 1);
		break;
	}
}

static void change_a_target(void)
{
	int target = below(NR_TARGETS);

	if (set[0].here[target] && percent(80)) {
		if (target == T_RLP && nr_sleepers())
			return;
		unload_target(target);
	} else if (target == T_RLP && percent(20)) {
		load_target(target, ENOMEM);
	} else {
		load_target(target, 0);
	}
}

static void change_sleepers(void)
{
	int at = below(NR_SLEEPERS);

	if (!set[0].here[T_RLP]) {
		load_target(T_RLP, 0);
		return;
	}
	if (set[0].sleepers[at])
		kill_sleeper(at);
	else if (percent(70))
		put_sleeper(at);
	else
		wake_sleepers();
}

static void race(void)
{
	const struct state *m = &set[0];
	int slot = m->move != STILL ? m->mover : pick(is_in_use), target, desc, other;

	if (slot < 0)
		return;
	switch (below(m->move == STILL ? 6 : 2)) {
	case 0:
		burst(slot);
		break;
	case 1:
		target = percent(50) ? (int)below(NR_TARGETS) : -1;
		if (target == T_RLP && nr_sleepers())
			target = -1;
		if (target >= 0 && keeps_out(slot, target))
			target = -1;
		race_writers(slot, target);
		break;
	case 2:
		op("disable and unload %c", 'a' + slot);
		write_enabled_plainly(slot, 0);
		if (m->slots[slot].pins)
			break;
		until_not_early(slot, unload_patch, EAGAIN);
		break;
	case 3:
	case 4:
		op("disable %c and enable it again", 'a' + slot);
		write_enabled_plainly(slot, 0);
		until_not_early(slot, again, EEXIST);
		break;
	default:
		other = in_play(below(NR_IN_PLAY));
		if (m->slots[other].loaded)
			break;
		desc = describe(other);
		op("disable %c and load %c", 'a' + slot, 'a' + other);
		write_enabled_plainly(slot, 0);
		if (load(other, desc) == EBUSY) {
			settle();
			did(op_load, (long[]){ other, desc },
			    load_slot(other, descs[desc].params));
		}
		break;
	}
}

static void try_something(void)
{
	const struct state *m = &set[0];
	bool lacks = percent(60), insists = percent(30);
	int slot;

	if (!m->loader && lacks) {
		use_loader(1);
		return;
	}
	switch (below(100)) {
	case 0 ... 21:
		slot = in_play(below(NR_IN_PLAY));
		if (m->slots[slot].loaded && percent(80))
			slot = in_play(below(NR_IN_PLAY));
		load(slot, describe(slot));
		break;
	case 22 ... 46:
		change_a_patch();
		break;
	case 47 ... 56:
		slot = percent(60) ? pick(is_free) : pick(is_loaded);
		if (slot < 0 || percent(10))
			slot = below(NR_IN_PLAY);
		op("unload %c", 'a' + slot);
		unload_patch(slot);
		break;
	case 57 ... 60:
		slot = percent(70) ? pick(is_free) : pick(is_loaded);
		if (slot < 0)
			slot = below(NR_IN_PLAY);
		op("enable %c again", 'a' + slot);
		again(slot);
		break;
	case 61 ... 69:
		change_a_target();
		break;
	case 70 ... 79:
		change_sleepers();
		break;
	case 80 ... 89:
		race();
		break;
	case 90 ... 92:
		read_as_newborn();
		break;
	case 93:
		if (m->loader)
			set_promote(!m->promote);
		break;
	case 94:
		use_loader(m->loader && nr_loaded(m) && insists);
		break;
	case 95 ... 96:
		set_noise(percent(50));
		break;
	default:
		if (m->move == STILL && m->loader)
			settle_hooks();
		break;
	}
}

void one_step(void)
{
	unsigned long before = nr_ops;

	while (nr_ops == before)
		try_something();
}
