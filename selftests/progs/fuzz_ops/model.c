// SPDX-License-Identifier: GPL-2.0
/*
 * The model: what the loader does to one state. Nothing here touches the machine.
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
int foreign;

bool has(const struct state *m, int slot, enum universe u)
{
	switch (m->move) {
	case IN:
		return u == NEW || slot != m->mover;
	case REPLACING:
		return (slot == m->mover) == (u == NEW);
	case OUT:
		return u == OLD || slot != m->mover;
	default:
		return true;
	}
}

bool present(const struct state *m, enum target object)
{
	return object == T_VMLINUX || (object < NR_TARGETS && m->here[object]);
}

static bool replaces(const struct state *m, int slot, enum fn fn)
{
	const struct desc *d = &descs[m->slots[slot].desc];

	for (int i = 0; i < d->nr; i++)
		if (d->funcs[i].fn == (int)fn)
			return true;
	return false;
}

/* The slot whose replacement of fn the universe calls, -1 for the original. */
int winner(const struct state *m, enum fn fn, enum universe u)
{
	if (!present(m, fns[fn].object))
		return -1;
	for (int i = m->nr_order - 1; i >= 0; i--)
		if (has(m, m->order[i], u) && replaces(m, m->order[i], fn))
			return m->order[i];
	return -1;
}

bool moves(const struct state *m, int slot)
{
	return m->move != STILL && m->mover == slot;
}

bool enabled(const struct state *m, int slot)
{
	return !moves(m, slot) || has(m, slot, m->target);
}

/* Sleepers are in the original of sleep_show(), which holds them if it changes. */
bool held(const struct state *m, int i)
{
	return m->move != STILL && m->sleepers[i] && m->sleepers[i] - 1 != m->target &&
	       winner(m, F_SLEEP, OLD) != winner(m, F_SLEEP, NEW) &&
	       winner(m, F_SLEEP, !m->target) < 0;
}

int nr_held(const struct state *m)
{
	int n = 0;

	for (int i = 0; i < NR_SLEEPERS; i++)
		n += held(m, i);
	return n;
}

static void everybody_in(struct state *m, enum universe u)
{
	m->self = u;
	for (int i = 0; i < NR_SLEEPERS; i++)
		if (m->sleepers[i])
			m->sleepers[i] = u + 1;
}

static void start(struct state *m, enum move move, int slot)
{
	m->move = move;
	m->mover = slot;
	m->target = NEW;
	m->forced = 0;
	everybody_in(m, OLD);
}

void complete(struct state *m)
{
	int kept = 0;

	for (int i = 0; i < m->nr_order; i++) {
		int slot = m->order[i];

		if (has(m, slot, m->target)) {
			m->order[kept++] = slot;
			if (slot == m->mover)
				m->slots[slot].ran = m->forced ? BY_FORCE : IN_ORDER;
			continue;
		}
		m->slots[slot].life = LEAVING;
		m->slots[slot].forced = m->forced;
		m->slots[slot].ran = NOT_YET;
	}
	memset(m->order + kept, 0, NR_SLOTS - kept);
	m->nr_order = kept;
	m->move = STILL;
	m->mover = m->target = m->forced = 0;
	everybody_in(m, OLD);
}

/* Operations: each returns an errno, or 0 and changes the state. */

static int enable(struct state *m, int slot, int desc)
{
	const struct desc *d = &descs[desc];
	struct slot *s = &m->slots[slot];

	if (d->early)
		return d->early;
	if (s->life == IN_USE)
		return EEXIST;
	if (m->move != STILL)
		return EBUSY;
	for (int i = 0; i < d->nr; i++)
		if (d->funcs[i].bad && present(m, d->funcs[i].object))
			return EINVAL;
	if (s->life == LEAVING)
		return EBUSY;
	s->desc = desc;
	s->life = IN_USE;
	s->ran = NOT_YET;
	m->order[m->nr_order++] = slot;
	start(m, d->replace ? REPLACING : IN, slot);
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

int op_again(struct state *m, const long *args) /* slot */
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
	s->loaded = s->desc = s->ran = 0;
	return 0;
}

int op_enabled(struct state *m, const long *args) /* slot, value */
{
	int slot = args[0];

	if (m->slots[slot].life != IN_USE)
		return GONE;
	if (enabled(m, slot) == args[1])
		return EINVAL;
	if (moves(m, slot)) {
		m->target = !m->target;
		return 0;
	}
	if (m->move != STILL)
		return EBUSY;
	start(m, OUT, slot);
	return 0;
}

int op_force(struct state *m, const long *args) /* slot, value */
{
	int slot = args[0], life = m->slots[slot].life;

	if (!args[1])
		return life == IN_USE ? 0 : life == LEAVING ? GONE_OR : GONE;
	if (life != IN_USE)
		return GONE;
	if (!moves(m, slot))
		return EINVAL;
	m->forced = 1;
	everybody_in(m, m->target);
	return 0;
}

int op_junk(struct state *m, const long *args) /* slot, errno */
{
	int life = m->slots[args[0]].life;

	return life == IN_USE ? args[1] : life == LEAVING ? GONE_OR + args[1] : GONE;
}

int op_target(struct state *m, const long *args) /* target, init's errno */
{
	if (m->here[args[0]])
		return EEXIST;
	for (int i = 0; i < m->nr_order; i++) {
		const struct desc *d = &descs[m->slots[m->order[i]].desc];

		for (int j = 0; j < d->nr; j++)
			if (d->funcs[j].bad && (long)d->funcs[j].object == args[0])
				return EINVAL;
	}
	if (args[1])
		return args[1];
	m->here[args[0]] = 1;
	if (args[0] == T_RLP)
		m->awake = 0;
	return 0;
}

int op_target_goes(struct state *m, const long *args) /* target */
{
	if (!m->here[args[0]])
		return ENOENT;
	m->here[args[0]] = 0;
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
	if (nr_loaded(m) || foreign)
		return EAGAIN;
	m->loader = m->promote = 0;
	return 0;
}

int op_set(struct state *m, const long *args) /* offset of a member, value */
{
	((uint8_t *)m)[args[0]] = args[1];
	return 0;
}
