// SPDX-License-Identifier: GPL-2.0
/*
 * Random descriptions of patches. Most are valid. The loader must refuse the others.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "describe.h"
#include "random.h"
#include "states.h"

/* Returns the next index in descs[], not 0, that no state of the set uses. */
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
		     bool unresolvable, const char *replacement)
{
	struct func *f = &d->funcs[d->nr++];
	char *text = d->params + strlen(d->params);

	f->fn = fn;
	f->object = object;
	f->name = name;
	f->position = sympos ? sympos : 1;
	f->unresolvable = unresolvable;
	text += sprintf(text, "%s%s:%s", d->nr > 1 ? "," : "",
			object == T_VMLINUX ? "" : objects[object], name);
	if (sympos)
		text += sprintf(text, "@%d", sympos);
	if (replacement)
		sprintf(text, "=%s", replacement);
}

/* Adds a function that is not found in its object. */
static void add_unresolvable(struct desc *d, enum target object)
{
	static const struct {
		const char *name;
		int sympos;
	} unresolvable[] = {
		{ "no_such_function", 0 }, { "twin_show", 3 }, { "one_show", 2 },
		{ "notrace_show", 0 }, { "rlp_target_init", 0 },
	};
	int at = object == T_RLP ? random_below(5) : 0;

	add_func(d, -1, object, unresolvable[at].name, unresolvable[at].sympos, true, NULL);
}

/* Adds an error for which a patch is refused whether its objects are loaded or not. */
static void add_invalid(struct desc *d)
{
	static const struct {
		const char *funcs;
		int ret;
	} invalid[] = {
		{ ",:uptime_proc_show=null", EINVAL }, { ",:uptime_proc_show=vmlinux", EINVAL },
		{ ",:uptime_proc_show=data", EINVAL }, { ",:uptime_proc_show=init", EINVAL },
		{ ",:uptime_proc_show=middle", ENOENT }, { ",:EMPTY", EINVAL },
		{ ",:=say", EINVAL }, { ",a/b:x", EINVAL }, { ",EMPTY:x", EINVAL },
		{ ",vmlinux:x", EINVAL }, { ",enabled:x", EINVAL },
		{ ",rlp_none:x,rlp_none:x@1", EINVAL },
		{ ",rlp_none:x,rlp_some:x,rlp_none:y", EINVAL },
		{ " shape=no-module", EINVAL }, { " shape=no-objects", EINVAL },
		{ " shape=null-patch", EINVAL }, { " shape=no-functions", EINVAL },
	};
	int at = random_below(sizeof(invalid) / sizeof(*invalid));

	strcat(d->params, invalid[at].funcs);
	d->invalid = invalid[at].ret;
}

int describe(int slot)
{
	static const enum target all[] = { T_VMLINUX, T_RLP, T_SAMPLE, T_ABSENT };
	static unsigned int version;
	bool sleepers = false, some = false;
	int nr = new_desc();
	struct desc *d = &descs[nr];
	unsigned int first = random_below(4);

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
				 fns[fn].sympos ?: (int)random_below(2), false, NULL);
			some = true;
		}
		if (object == T_ABSENT && percent(20)) {
			add_func(d, -1, object, "any", 0, false, NULL);
			some = true;
		}
		if (percent(4)) {
			add_unresolvable(d, object);
			some = true;
		}
	}
	if (!some)
		add_func(d, F_ONE, T_RLP, fns[F_ONE].name, 0, false, NULL);
	if (percent(12))
		add_invalid(d);
	return nr;
}
