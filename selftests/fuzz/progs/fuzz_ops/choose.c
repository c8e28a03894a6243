// SPDX-License-Identifier: GPL-2.0
/*
 * The choice of the next step. It depends on the seed and on set[0]: after wait_for_rest(), this is
 * the only state of the set. The choice also depends on two conditions that the seed does not
 * determine: how many pins are left, and whether the loader can be unloaded. A force that needs too
 * many pins is left out, and another operation is chosen instead. So a run can only be repeated
 * with the same seed and under the same conditions (see main.c).
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

/* Returns the nth slot without a pinned module. */
static int usable_slot(int nth)
{
	for (int slot = 0; slot < NR_SLOTS; slot++)
		if (!set[0].slots[slot].pins && !nth--)
			return slot;
	return NR_SLOTS - 1;
}

/* Returns a random slot for which the condition is true, or -1. */
static int pick(bool (*condition)(const struct state *m, int slot))
{
	int some[NR_SLOTS], nr = 0;

	for (int slot = 0; slot < NR_SLOTS; slot++)
		if (condition(&set[0], slot))
			some[nr++] = slot;
	return nr ? some[random_below(nr)] : -1;
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

/* Returns how many modules would be pinned if the transition were forced. */
static int would_pin(const struct state *m)
{
	int n = 0;

	for (int i = 0; i < m->nr_order; i++)
		n += !has_patch(m, m->order[i], m->target);
	return n;
}

/* Returns whether the slot's patch has a function for which the loader would refuse this target. */
static bool refuses_target(int slot, int target)
{
	const struct desc *d = &descs[set[0].slots[slot].desc];

	for (int i = 0; i < d->nr; i++)
		if (d->funcs[i].unresolvable && (int)d->funcs[i].object == target)
			return true;
	return false;
}

static void change_a_patch(void)
{
	const struct state *m = &set[0];
	int slot = percent(85) ? pick(is_in_use) : usable_slot(random_below(NR_USABLE));
	bool may_force;

	if (slot < 0)
		return;
	switch (random_below(10)) {
	case 0 ... 4:
		write_enabled(slot, random_below(4) == 0);
		break;
	case 5:
		write_junk(slot);
		break;
	case 6:
		write_force(slot, 0);
		break;
	default:
		/* The number of pins is limited. A force that pins no module is always allowed. */
		may_force = percent(40);
		if (in_transition(m, slot) && would_pin(m)) {
			if (would_pin(m) > pins_left || !may_force)
				return;
			pins_left -= would_pin(m);
		}
		write_force(slot, 1);
		break;
	}
}

static void change_a_target(void)
{
	int target = random_below(NR_TARGETS);

	if (set[0].target_loaded[target] && percent(80)) {
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
	int at = random_below(NR_SLEEPERS);

	if (!set[0].target_loaded[T_RLP]) {
		load_target(T_RLP, 0);
		return;
	}
	if (set[0].sleepers[at])
		kill_sleeper(at);
	else if (percent(70))
		start_sleeper(at);
	else
		wake_sleepers();
}

static void race(void)
{
	const struct state *m = &set[0];
	int slot = m->transition != NO_TRANSITION ? m->changing_slot : pick(is_in_use);
	int target, desc, other;

	if (slot < 0)
		return;
	switch (random_below(m->transition == NO_TRANSITION ? 6 : 2)) {
	case 0:
		burst_of_writes(slot);
		break;
	case 1:
		target = percent(50) ? (int)random_below(NR_TARGETS) : -1;
		if (target == T_RLP && nr_sleepers())
			target = -1;
		if (target >= 0 && refuses_target(slot, target))
			target = -1;
		race_writers(slot, target);
		break;
	case 2:
		log_op("disable and unload %c", 'a' + slot);
		write_enabled_unlogged(slot, 0);
		if (m->slots[slot].pins)
			break;
		retry_while_busy(slot, unload_patch, EAGAIN);
		break;
	case 3:
	case 4:
		log_op("disable %c and enable it again", 'a' + slot);
		write_enabled_unlogged(slot, 0);
		retry_while_busy(slot, enable_again, EEXIST);
		break;
	default:
		other = usable_slot(random_below(NR_USABLE));
		if (m->slots[other].loaded)
			break;
		desc = describe(other);
		log_op("disable %c and load %c", 'a' + slot, 'a' + other);
		write_enabled_unlogged(slot, 0);
		if (load_patch(other, desc) == EBUSY) {
			wait_for_rest();
			check_result(op_load, (long[]){ other, desc },
				     load_slot(other, descs[desc].params));
		}
		break;
	}
}

static void try_operation(void)
{
	const struct state *m = &set[0];
	bool load_first = percent(60), load_twice = percent(30);
	int slot;

	if (!m->loader && load_first) {
		set_loader(1);
		return;
	}
	switch (random_below(100)) {
	case 0 ... 21:
		slot = usable_slot(random_below(NR_USABLE));
		if (m->slots[slot].loaded && percent(80))
			slot = usable_slot(random_below(NR_USABLE));
		load_patch(slot, describe(slot));
		break;
	case 22 ... 46:
		change_a_patch();
		break;
	case 47 ... 56:
		slot = percent(60) ? pick(is_free) : pick(is_loaded);
		if (slot < 0 || percent(10))
			slot = random_below(NR_USABLE);
		log_op("unload %c", 'a' + slot);
		unload_patch(slot);
		break;
	case 57 ... 60:
		slot = percent(70) ? pick(is_free) : pick(is_loaded);
		if (slot < 0)
			slot = random_below(NR_USABLE);
		log_op("enable %c again", 'a' + slot);
		enable_again(slot);
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
		set_loader(m->loader && nr_loaded(m) && load_twice);
		break;
	case 95 ... 96:
		set_noise(percent(50));
		break;
	default:
		if (m->transition == NO_TRANSITION && m->loader)
			settle_hooks();
		break;
	}
}

void one_step(void)
{
	unsigned long before = nr_ops;

	while (nr_ops == before)
		try_operation();
}
