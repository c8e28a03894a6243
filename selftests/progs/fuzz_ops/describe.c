// SPDX-License-Identifier: GPL-2.0
/*
 * Descriptions of patches, at random: most are good, some are refused.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "describe.h"
#include "random.h"
#include "states.h"

static int new_desc(void)
{
	static int last;
	bool used;

	do {
		last = (last + 1) % NR_DESCS;
		used = last == 0;
		for (int i = 0; i < nr_states; i++)
			for (int slot = 0; slot < NR_SLOTS; slot++)
				used |= set[i].slots[slot].desc == last;
	} while (used);
	memset(&descs[last], 0, sizeof(*descs));
	return last;
}

static void add_func(struct desc *d, int fn, enum target object, const char *name, int sympos,
		     bool bad, const char *replacement)
{
	struct func *f = &d->funcs[d->nr++];
	char *text = d->params + strlen(d->params);

	f->fn = fn;
	f->object = object;
	f->name = name;
	f->position = sympos ? sympos : 1;
	f->bad = bad;
	text += sprintf(text, "%s%s:%s", d->nr > 1 ? "," : "",
			object == T_VMLINUX ? "" : objects[object], name);
	if (sympos)
		text += sprintf(text, "@%d", sympos);
	if (replacement)
		sprintf(text, "=%s", replacement);
}

/* A function that is not found once its module is there. */
static void add_bad(struct desc *d, enum target object)
{
	static const struct {
		const char *name;
		int sympos;
	} bad[] = {
		{ "no_such_function", 0 }, { "twin_show", 3 }, { "one_show", 2 },
		{ "notrace_show", 0 }, { "rlp_target_init", 0 },
	};
	int at = object == T_RLP ? below(5) : 0;

	add_func(d, -1, object, bad[at].name, bad[at].sympos, true, NULL);
}

/* What is wrong whatever is loaded. */
static void add_early(struct desc *d)
{
	static const struct {
		const char *funcs;
		int ret;
	} early[] = {
		{ ",:uptime_proc_show=null", EINVAL }, { ",:uptime_proc_show=vmlinux", EINVAL },
		{ ",:uptime_proc_show=data", EINVAL }, { ",:uptime_proc_show=init", EINVAL },
		{ ",:uptime_proc_show=middle", ENOENT }, { ",:EMPTY", EINVAL },
		{ ",:=say", EINVAL }, { ",a/b:x", EINVAL }, { ",EMPTY:x", EINVAL },
		{ ",vmlinux:x", EINVAL }, { ",enabled:x", EINVAL }, { ",rlp_none:x,rlp_none:x@1", EINVAL },
		{ ",rlp_none:x,rlp_some:x,rlp_none:y", EINVAL },
		{ " shape=no-module", EINVAL }, { " shape=no-objects", EINVAL },
		{ " shape=null-patch", EINVAL }, { " shape=no-functions", EINVAL },
	};
	int at = below(sizeof(early) / sizeof(*early));

	strcat(d->params, early[at].funcs);
	d->early = early[at].ret;
}

int describe(int slot)
{
	static const enum target all[] = { T_VMLINUX, T_RLP, T_SAMPLE, T_ABSENT };
	static unsigned int version;
	bool sleepers = false, some = false;
	int nr = new_desc();
	struct desc *d = &descs[nr];
	unsigned int first = below(4);

	for (int i = 0; i < NR_SLEEPERS; i++)
		sleepers |= set[0].sleepers[i];
	sprintf(d->says, "%c%u", 'a' + slot, ++version);
	d->replace = percent(25);
	snprintf(d->params, sizeof(d->params), "says=%c%u replace=%d funcs=", 'a' + slot,
		 version, d->replace);
	for (int i = 0; i < 4; i++) {
		enum target object = all[(first + i) % 4];

		for (int fn = 0; fn < NR_FNS; fn++) {
			if (fns[fn].object != object ||
			    !percent(fn == F_SLEEP && sleepers ? 70 : 35))
				continue;
			add_func(d, fn, object, fns[fn].name,
				 fns[fn].sympos ?: (int)below(2), false, NULL);
			some = true;
		}
		if (object == T_ABSENT && percent(20)) {
			add_func(d, -1, object, "any", 0, false, NULL);
			some = true;
		}
		if (percent(4)) {
			add_bad(d, object);
			some = true;
		}
	}
	if (!some)
		add_func(d, F_ONE, T_RLP, fns[F_ONE].name, 0, false, NULL);
	if (percent(12))
		add_early(d);
	return nr;
}
