// SPDX-License-Identifier: GPL-2.0
/*
 * The model: how an operation of the loader changes one state. No code in this file accesses the
 * machine.
 */
#include <errno.h>
#include <string.h>

#include "model.h"

const char * const objects[] = {
	[T_RLP] = "rlp_target", [T_SAMPLE] = "livepatch_sample_target",
	[T_VMLINUX] = "vmlinux", [T_ABSENT] = "rlp_absent",
};

struct fn_desc fns[NR_FNS] = {
	[F_CMDLINE] = { T_VMLINUX, "cmdline_proc_show", 0, "/proc/cmdline" },
	[F_VERSION] = { T_VMLINUX, "version_proc_show", 0, "/proc/version" },
	[F_ONE] = { T_RLP, "one_show", 0, "/proc/rlp_target/one", "one" },
	[F_TWO] = { T_RLP, "two_show", 0, "/proc/rlp_target/two", "two" },
	[F_TWIN1] = { T_RLP, "twin_show", 1, "/proc/rlp_target/twin1", "first twin" },
	[F_TWIN2] = { T_RLP, "twin_show", 2, "/proc/rlp_target/twin2", "second twin" },
	[F_SLEEP] = { T_RLP, "sleep_show", 0, "/proc/rlp_target/sleep", "awake" },
	[F_GREETING] = { T_SAMPLE, "greeting_show", 0, "/proc/livepatch_sample/greeting",
			 "greetings from the target" },
};

struct desc descs[NR_DESCS];
int nr_pinned_before;

bool has_patch(const struct state *m, int slot, enum universe u)
{
	switch (m->transition) {
	case ENABLING:
		return u == NEW || slot != m->changing_slot;
	case REPLACING:
		return (slot == m->changing_slot) == (u == NEW);
	case DISABLING:
		return u == OLD || slot != m->changing_slot;
	default:
		return true;
	}
}

bool present(const struct state *m, enum target object)
{
	return object == T_VMLINUX || (object < NR_TARGETS && m->target_loaded[object]);
}

static bool replaces(const struct state *m, int slot, enum fn fn)
{
	const struct desc *d = &descs[m->slots[slot].desc];

	for (int i = 0; i < d->nr; i++)
		if (d->funcs[i].fn == (int)fn)
			return true;
	return false;
}

int replacing_slot(const struct state *m, enum fn fn, enum universe u)
{
	if (!present(m, fns[fn].object))
		return -1;
	for (int i = m->nr_order - 1; i >= 0; i--)
		if (has_patch(m, m->order[i], u) && replaces(m, m->order[i], fn))
			return m->order[i];
	return -1;
}

bool in_transition(const struct state *m, int slot)
{
	return m->transition != NO_TRANSITION && m->changing_slot == slot;
}

bool enabled(const struct state *m, int slot)
{
	return !in_transition(m, slot) || has_patch(m, slot, m->target);
}

/*
 * A sleeper sleeps in the original of sleep_show(). It blocks a transition from a universe
 * that calls the original to a universe that calls a replacement, unless the sleeper is in
 * the target universe already.
 */
bool sleeper_blocks(const struct state *m, int i)
{
	return m->transition != NO_TRANSITION && m->sleepers[i] &&
	       m->sleepers[i] - 1 != m->target &&
	       replacing_slot(m, F_SLEEP, OLD) != replacing_slot(m, F_SLEEP, NEW) &&
	       replacing_slot(m, F_SLEEP, !m->target) < 0;
}

int nr_blocking(const struct state *m)
{
	int n = 0;

	for (int i = 0; i < NR_SLEEPERS; i++)
		n += sleeper_blocks(m, i);
	return n;
}

static void switch_all(struct state *m, enum universe u)
{
	m->own_universe = u;
	for (int i = 0; i < NR_SLEEPERS; i++)
		if (m->sleepers[i])
			m->sleepers[i] = u + 1;
}

static void start(struct state *m, enum transition transition, int slot)
{
	m->transition = transition;
	m->changing_slot = slot;
	m->target = NEW;
	m->forced = 0;
	switch_all(m, OLD);
}

void complete(struct state *m)
{
	int kept = 0;

	for (int i = 0; i < m->nr_order; i++) {
		int slot = m->order[i];

		if (has_patch(m, slot, m->target)) {
			m->order[kept++] = slot;
			if (slot == m->changing_slot)
				m->slots[slot].ended = m->forced ? BY_FORCE : IN_ORDER;
			continue;
		}
		m->slots[slot].life = RETIRED;
		m->slots[slot].forced = m->forced;
		m->slots[slot].ended = NOT_YET;
	}
	memset(m->order + kept, 0, NR_SLOTS - kept);
	m->nr_order = kept;
	m->transition = NO_TRANSITION;
	m->changing_slot = m->target = m->forced = 0;
	switch_all(m, OLD);
}

static int enable(struct state *m, int slot, int desc)
{
	const struct desc *d = &descs[desc];
	struct slot *s = &m->slots[slot];

	if (d->invalid)
		return d->invalid;
	if (s->life == IN_USE)
		return EEXIST;
	if (m->transition != NO_TRANSITION)
		return EBUSY;
	for (int i = 0; i < d->nr; i++)
		if (d->funcs[i].unresolvable && present(m, d->funcs[i].object))
			return EINVAL;
	if (s->life == RETIRED)
		return EBUSY;
	s->desc = desc;
	s->life = IN_USE;
	s->ended = NOT_YET;
	m->order[m->nr_order++] = slot;
	start(m, d->replace ? REPLACING : ENABLING, slot);
	return 0;
}

int op_load(struct state *m, const long *args) /* slot, desc */
{
	struct slot *s = &m->slots[args[0]];
	int ret;

	if (s->loaded)
		return EEXIST;
	if (!m->loader)
		return ENOENT;
	ret = enable(m, args[0], args[1]);
	if (!ret)
		s->loaded = 1;
	return ret;
}

int op_enable_again(struct state *m, const long *args) /* slot */
{
	struct slot *s = &m->slots[args[0]];

	return s->loaded ? enable(m, args[0], s->desc) : ENOENT;
}

int op_unload(struct state *m, const long *args) /* slot */
{
	struct slot *s = &m->slots[args[0]];

	if (!s->loaded)
		return ENOENT;
	if (s->life != NONE || s->puts || s->pins)
		return EAGAIN;
	s->loaded = s->desc = s->ended = 0;
	return 0;
}

int op_enabled(struct state *m, const long *args) /* slot, value */
{
	int slot = args[0];

	if (m->slots[slot].life != IN_USE)
		return GONE;
	if (enabled(m, slot) == args[1])
		return EINVAL;
	if (in_transition(m, slot)) {
		m->target = !m->target;
		return 0;
	}
	if (m->transition != NO_TRANSITION)
		return EBUSY;
	start(m, DISABLING, slot);
	return 0;
}

int op_force(struct state *m, const long *args) /* slot, value */
{
	int slot = args[0], life = m->slots[slot].life;

	if (!args[1])
		return life == IN_USE ? 0 : life == RETIRED ? GONE_OR : GONE;
	if (life != IN_USE)
		return GONE;
	if (!in_transition(m, slot))
		return EINVAL;
	m->forced = 1;
	switch_all(m, m->target);
	return 0;
}

int op_junk(struct state *m, const long *args) /* slot, errno */
{
	int life = m->slots[args[0]].life;

	return life == IN_USE ? args[1] : life == RETIRED ? GONE_OR + args[1] : GONE;
}

int op_load_target(struct state *m, const long *args) /* target, errno of its init function */
{
	if (m->target_loaded[args[0]])
		return EEXIST;
	for (int i = 0; i < m->nr_order; i++) {
		const struct desc *d = &descs[m->slots[m->order[i]].desc];

		for (int j = 0; j < d->nr; j++)
			if (d->funcs[j].unresolvable && (long)d->funcs[j].object == args[0])
				return EINVAL;
	}
	if (args[1])
		return args[1];
	m->target_loaded[args[0]] = 1;
	if (args[0] == T_RLP)
		m->awake = 0;
	return 0;
}

int op_unload_target(struct state *m, const long *args) /* target */
{
	if (!m->target_loaded[args[0]])
		return ENOENT;
	m->target_loaded[args[0]] = 0;
	return 0;
}

int nr_loaded(const struct state *m)
{
	int n = 0;

	for (int i = 0; i < NR_SLOTS; i++)
		n += m->slots[i].loaded;
	return n;
}

int op_loader(struct state *m, const long *args) /* 1: load it, 0: unload it */
{
	if (args[0]) {
		if (m->loader)
			return EEXIST;
		m->loader = m->promote = 1;
		return 0;
	}
	if (!m->loader)
		return ENOENT;
	if (nr_loaded(m) || nr_pinned_before)
		return EAGAIN;
	m->loader = m->promote = 0;
	return 0;
}

int op_set(struct state *m, const long *args) /* offset of a member of struct state, value */
{
	((uint8_t *)m)[args[0]] = args[1];
	return 0;
}
