// SPDX-License-Identifier: GPL-2.0
/*
 * For each file: the text that a read must return in a state, and the check of the text that was
 * read.
 */
#include <stdio.h>
#include <string.h>

#include "files.h"
#include "observe.h"
#include "report.h"
#include "states.h"

const char * const attrs[NR_ATTRS] = {
	"enabled", "transition", "replace", "stack_order", "progress", "blockers",
	"transition_us", "transition_end", "transition_forced", "force",
};

void expect_attr(const struct state *m, const long *args, char *text)
{
	int slot = args[0];

	strcpy(text, "?");
	if (m->slots[slot].life == RETIRED && args[1] == A_FORCE)
		return;
	if (m->slots[slot].life != IN_USE) {
		strcpy(text, "gone");
		return;
	}
	switch (args[1]) {
	case A_ENABLED:
		sprintf(text, "%d", enabled(m, slot));
		break;
	case A_TRANSITION:
		sprintf(text, "%d", in_transition(m, slot));
		break;
	case A_REPLACE:
		sprintf(text, "%d", descs[m->slots[slot].desc].replace);
		break;
	case A_STACK_ORDER:
		for (int i = 0; i < m->nr_order; i++)
			if (m->order[i] == slot)
				sprintf(text, "%d", i + 1);
		break;
	case A_PROGRESS:
		strcpy(text, in_transition(m, slot) ? "some" : "0 0");
		break;
	case A_BLOCKERS:
		if (!in_transition(m, slot))
			strcpy(text, "");
		break;
	case A_TRANSITION_US:
		strcpy(text, m->slots[slot].ended ? "some" : "0");
		break;
	case A_TRANSITION_END:
		strcpy(text, m->slots[slot].ended ? "some" : "0.000000");
		break;
	case A_TRANSITION_FORCED:
		sprintf(text, "%d", m->slots[slot].ended == BY_FORCE);
		break;
	case A_FORCE:
		strcpy(text, "EACCES");
		break;
	}
}

/*
 * Returns whether text has lines "tasks <count> <reason> <function>", then lines
 * "<pid> <comm> <reason> <function>", and perhaps a last line "...".
 */
static bool are_blockers(char *text)
{
	static const char * const reasons[] = { "unknown", "running", "unreliable", "inside" };

	bool counts = true;

	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		char *end = strrchr(line, ' '), *reason;
		bool known = false;

		if (!strcmp(line, "..."))
			continue;
		if (!end || end == line)
			return false;
		*end++ = '\0';
		reason = strrchr(line, ' ');
		if (!reason)
			return false;
		*reason++ = '\0';
		for (int i = 0; i < 4; i++)
			known |= !strcmp(reason, reasons[i]);
		if (!known || (strcmp(end, "-") == 0) != (strcmp(reason, "inside") != 0) ||
		    !strchr(line, ' '))
			return false;
		counts &= !strncmp(line, "tasks ", 6) && line[6] &&
			  !line[6 + strspn(line + 6, "0123456789")];
		if (!counts && strspn(line, "0123456789") == 0)
			return false;
	}
	return true;
}

void canonicalize(enum attr attr, char *text)
{
	unsigned long moved, all;
	char end;

	if (!strcmp(text, "ENOENT") || !strcmp(text, "ENODEV")) {
		strcpy(text, "gone");
	} else if (attr == A_PROGRESS && strcmp(text, "0 0") &&
		   sscanf(text, "%lu %lu%c", &moved, &all, &end) == 2 && moved <= all) {
		strcpy(text, "some");
	} else if (attr == A_TRANSITION_US && strcmp(text, "0") &&
		   sscanf(text, "%lu%c", &moved, &end) == 1) {
		strcpy(text, "some");
	} else if (attr == A_TRANSITION_END && strcmp(text, "0.000000") &&
		   sscanf(text, "%lu.%6lu%c", &moved, &all, &end) == 2) {
		strcpy(text, "some");
	} else if (attr == A_BLOCKERS && *text) {
		char copy[4097];

		strcpy(copy, text);
		if (are_blockers(copy))
			strcpy(text, "some");
		text[200] = '\0';
	}
}

static void check_attr(int slot, enum attr attr)
{
	char text[4097];

	read_file(slot_file(slot, attrs[attr]), text, sizeof(text));
	canonicalize(attr, text);
	/* The model does not know the blockers, but the format of the file is known. */
	if (attr == A_BLOCKERS && *text && strcmp(text, "some") && strcmp(text, "gone"))
		mismatch("blockers reads '%s'", text);
	observe(slot_file(slot, attrs[attr]), expect_attr, (long[]){ slot, attr }, text);
}

static void expect_object(const struct state *m, const long *args, char *text)
{
	if (m->slots[args[0]].life != IN_USE)
		strcpy(text, "gone");
	else
		sprintf(text, "%d", present(m, args[1]));
}

static void expect_mode(const struct state *m, const long *args, char *text)
{
	if (m->slots[args[0]].life != IN_USE)
		strcpy(text, "gone");
	else
		strcpy(text, present(m, args[1]) ? "hooked" : "unhooked");
}

static void check_objects(int slot, const struct desc *d)
{
	char text[TEXT], path[100];

	for (int i = 0; i < d->nr; i++) {
		const struct func *f = &d->funcs[i];
		long args[] = { slot, f->object };

		snprintf(path, sizeof(path), "%s/patched", objects[f->object]);
		read_file(slot_file(slot, path), text, sizeof(text));
		canonicalize(NR_ATTRS, text);
		observe("patched", expect_object, args, text);

		read_file(func_file(slot, f, "mode"), text, sizeof(text));
		canonicalize(NR_ATTRS, text);
		/* "handler original" is an error: a hook without a replacement must not stay. */
		if (!strncmp(text, "handler ", 8) || !strcmp(text, "jump"))
			strcpy(text, strcmp(text, "handler original") ? "hooked" : text);
		observe(func_file(slot, f, "mode"), expect_mode, args, text);
	}
}

void expect_list(const struct state *m, const long *args, char *text)
{
	*text = '\0';
	if (!m->loader) {
		strcpy(text, "none");
		return;
	}
	for (int i = 0; i < NR_SLOTS; i++)
		if (m->slots[i].life != NONE)
			sprintf(text + strlen(text), "%c", letter(i));
}

void expect_refs(const struct state *m, const long *args, char *text)
{
	const struct slot *s = &m->slots[args[0]];

	if (!s->loaded)
		strcpy(text, "ENOENT");
	else
		sprintf(text, "%d", s->pins + s->puts + (s->life != NONE));
}

static void expect_loader_refs(const struct state *m, const long *args, char *text)
{
	if (!m->loader || loader_is_built_in())
		strcpy(text, "ENOENT");
	else
		sprintf(text, "%d", nr_loaded(m) + nr_pinned_before);
}

const char *output(const struct state *m, enum fn fn, enum universe u)
{
	int slot = replacing_slot(m, fn, u);

	if (fns[fn].object < NR_TARGETS && !m->target_loaded[fns[fn].object])
		return "ENOENT";
	return slot < 0 ? fns[fn].original : descs[m->slots[slot].desc].says;
}

void expect_own_output(const struct state *m, const long *args, char *text)
{
	strcpy(text, output(m, args[0], m->own_universe));
}

/* The output for a process that this process has forked while the loader was at rest. */
void expect_new_output(const struct state *m, const long *args, char *text)
{
	strcpy(text, output(m, args[0], m->transition == NO_TRANSITION ? OLD : m->target));
}

/* Returns whether this process could fall asleep if it read "sleep". */
static bool may_sleep(void)
{
	for (int i = 0; i < nr_states; i++)
		if (!set[i].awake && set[i].target_loaded[T_RLP])
			return true;
	return false;
}

static void check_outputs(void)
{
	char text[TEXT];

	for (int fn = 0; fn < NR_FNS; fn++) {
		if (fn == F_SLEEP && may_sleep())
			continue;
		read_file(fns[fn].file, text, sizeof(text));
		observe(fns[fn].file, expect_own_output, (long[]){ fn }, text);
	}
}

/* Returns whether the slot's module is loaded in any state of the set. */
static bool may_be_loaded(int slot)
{
	for (int i = 0; i < nr_states; i++)
		if (set[i].slots[slot].loaded)
			return true;
	return false;
}

void check_some(void)
{
	for (int slot = 0; slot < NR_SLOTS; slot++) {
		if (!may_be_loaded(slot))
			continue;
		check_attr(slot, A_TRANSITION);
		check_attr(slot, A_ENABLED);
	}
	check_outputs();
	observe(RLP, expect_list, NULL, list_patches());
}

void check_all(void)
{
	char text[TEXT];

	for (int slot = 0; slot < NR_SLOTS; slot++) {
		if (!may_be_loaded(slot)) {
			if (slot < NR_USABLE)
				check_attr(slot, A_ENABLED);
			continue;
		}
		for (int attr = 0; attr < NR_ATTRS; attr++)
			check_attr(slot, attr);
		check_objects(slot, &descs[set[0].slots[slot].desc]);
		observe(module_file(slot, "refcnt"), expect_refs, (long[]){ slot },
			read_file(module_file(slot, "refcnt"), text, sizeof(text)));
	}
	check_outputs();
	observe(RLP, expect_list, NULL, list_patches());
	observe("refcnt of the loader", expect_loader_refs, NULL,
		read_file("/sys/module/rust_livepatch/refcnt", text, sizeof(text)));
}
