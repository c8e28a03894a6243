// SPDX-License-Identifier: GPL-2.0
/*
 * Enables patches with random descriptions, one after another. No author would write such
 * descriptions.
 *
 *	insmod rlp_fuzz.ko seed=n
 *	echo 500 > /sys/module/rlp_fuzz/parameters/run
 *	cat /sys/module/rlp_fuzz/parameters/results
 *
 * run		write N: try N more patches, and stop at the first that is enabled
 * results	read: the results so far, one line "RESULT COUNT" for each result.
 *		RESULT is 0 or a positive error number
 *
 * Each description starts as a good one, in one piece of memory. Then some of its fields
 * are changed. Pointers lead to other places in that memory, to its last bytes, to its end,
 * or to nowhere. Arrays lose the entry that ends them, or contain themselves. Names are not
 * terminated. Numbers have any value. Callbacks are an exception: each is a function or
 * NULL, because no loader can detect a wrong callback.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

static unsigned int seed = 1;
module_param(seed, uint, 0444);

#define NR_OBJS		6
#define NR_FUNCS	8
#define NR_STATES	6
#define NAME_ROOM	64

/* All parts of a description. The page behind this memory cannot be read. */
static struct memory {
	struct klp_patch patch;
	void *noise[32];
	struct klp_object objs[NR_OBJS];
	struct klp_func funcs[NR_OBJS][NR_FUNCS];
	char names[NR_OBJS][NR_FUNCS + 1][NAME_ROOM];
	struct klp_state states[NR_STATES];
} *mem;
static void *pages;

static struct rnd_state rnd;
static unsigned long enabled, refused[MAX_ERRNO + 1];

/* Returns a random number that is less than @limit. */
static unsigned int random_below(unsigned int limit)
{
	return prandom_u32_state(&rnd) % limit;
}

/* Returns true once in @times calls, on average. */
static bool one_in(unsigned int times)
{
	return !random_below(times);
}

static unsigned long any_word(void)
{
	return (unsigned long)prandom_u32_state(&rnd) << 32 | prandom_u32_state(&rnd);
}

static int show_fuzzed(struct seq_file *m, void *v)
{
	seq_puts(m, "fuzzed\n");
	return 0;
}

static int __used show_fuzzed_too(struct seq_file *m, void *v)
{
	seq_puts(m, "fuzzed too\n");
	return 0;
}

static int refuse_object(struct klp_object *obj)
{
	return -ENODEV;
}

static int accept_object(struct klp_object *obj)
{
	return 0;
}

static void ignore_object(struct klp_object *obj)
{
}

/* Returns a pointer to replace a good one. */
static void *wrong_pointer(void)
{
	switch (random_below(12)) {
	case 0:
		return NULL;
	case 1:
		return (void *)any_word();
	case 2:
		return (void *)(unsigned long)random_below(8192);	/* the first pages */
	case 3:
		return (void *)0x0000800000000000;		/* not canonical */
	case 4:
		return (void *)-8L;
	case 5:
		return mem + 1;					/* just behind it */
	case 6:
		return (void *)mem + sizeof(*mem) - random_below(64);
	case 7:
		return (void *)mem + random_below(sizeof(*mem));	/* any byte in it */
	case 8:
		return THIS_MODULE;
	default:
		return (void *)mem + random_below(sizeof(*mem) / 8) * 8;	/* any word in it */
	}
}

static struct klp_object *any_object(void)
{
	return &mem->objs[random_below(NR_OBJS)];
}

static struct klp_func *any_func(void)
{
	return &mem->funcs[random_below(NR_OBJS)][random_below(NR_FUNCS)];
}

static void *any_replacement(void)
{
	switch (random_below(8)) {
	case 0:
		return (void *)show_fuzzed + 1;
	case 1:
		return seq_puts;
	case 2:
		return &rnd;
	case 3:
		return wrong_pointer();
	default:
		return one_in(2) ? show_fuzzed : show_fuzzed_too;
	}
}

/* Names of objects, and of functions that all have the same type. */
static const char *const modules[] = { "rlp_target", "absent", "another_absent" };
static const char *const functions[] = { "one_show", "two_show", "twin_show", "notrace_show" };

static void describe_object(unsigned int nr, const char *name)
{
	unsigned int i, count = 1 + random_below(3), first = random_below(ARRAY_SIZE(functions));

	if (name) {
		strscpy_pad(mem->names[nr][NR_FUNCS], name, NAME_ROOM);
		mem->objs[nr].name = mem->names[nr][NR_FUNCS];
	}
	mem->objs[nr].funcs = mem->funcs[nr];
	if (one_in(4)) {
		mem->objs[nr].callbacks.pre_patch = one_in(3) ? refuse_object : accept_object;
		mem->objs[nr].callbacks.post_patch = ignore_object;
		mem->objs[nr].callbacks.pre_unpatch = ignore_object;
		mem->objs[nr].callbacks.post_unpatch = ignore_object;
	}
	for (i = 0; i < (name ? count : 1); i++) {
		struct klp_func *func = &mem->funcs[nr][i];
		const char *old = name ? functions[(first + i) % ARRAY_SIZE(functions)] :
					 "cmdline_proc_show";

		strscpy_pad(mem->names[nr][i], old, NAME_ROOM);
		func->old_name = mem->names[nr][i];
		func->new_func = any_replacement();
		if (!strcmp(old, "twin_show"))
			func->old_sympos = 1 + random_below(2);
	}
}

static void describe(void)
{
	unsigned int nr = 0, i;

	memset(mem, 0, sizeof(*mem));
	for (i = 0; i < ARRAY_SIZE(mem->noise); i++)
		mem->noise[i] = one_in(2) ? wrong_pointer() : (void *)any_word();
	mem->patch.mod = THIS_MODULE;
	mem->patch.objs = mem->objs;
	mem->patch.replace = one_in(4);
	if (one_in(2))
		describe_object(nr++, NULL);
	for (i = 0; i < ARRAY_SIZE(modules); i++)
		if (one_in(2))
			describe_object(nr++, modules[i]);
	if (one_in(2)) {
		mem->patch.states = mem->states;
		for (i = random_below(NR_STATES); i; i--) {
			mem->states[i - 1].id = i;
			mem->states[i - 1].version = random_below(3);
		}
	}
}

static void change_a_name(void)
{
	char *name = mem->names[random_below(NR_OBJS)][random_below(NR_FUNCS + 1)];

	switch (random_below(5)) {
	case 0:
		*name = 0;
		break;
	case 1:
		memset(name, 'x', NAME_ROOM);	/* continues in the next name */
		break;
	case 2:
		memset(mem->names, 'x', sizeof(mem->names));
		break;
	case 3:
		prandom_bytes_state(&rnd, name, NAME_ROOM - 1);
		break;
	case 4:
		name[random_below(NAME_ROOM)] = '/';
		break;
	}
}

static void change_the_patch(void)
{
	switch (random_below(4)) {
	case 0:
		mem->patch.mod = wrong_pointer();
		break;
	case 1:
		mem->patch.objs = wrong_pointer();
		break;
	case 2:
		mem->patch.states = wrong_pointer();
		break;
	case 3:
		memset(&mem->patch.replace, random_below(256), 1);
		break;
	}
}

static void change_an_object(void)
{
	struct klp_object *obj = any_object();

	switch (random_below(6)) {
	case 0:
		obj->name = wrong_pointer();
		break;
	case 1:
		obj->funcs = wrong_pointer();
		break;
	case 2:
		obj->funcs = any_func();
		break;
	case 3:
		obj->funcs = (void *)any_object();	/* an array of objects */
		break;
	case 4:
		*obj = *any_object();
		break;
	case 5:
		/* No entry ends the array. */
		for (obj = mem->objs; obj < mem->objs + NR_OBJS; obj++)
			if (!obj->name && !obj->funcs)
				*obj = *any_object();
		break;
	}
}

static void change_a_function(void)
{
	struct klp_func *func = any_func();
	unsigned int nr;

	switch (random_below(6)) {
	case 0:
		func->old_name = wrong_pointer();
		break;
	case 1:
		func->new_func = wrong_pointer();
		break;
	case 2:
		func->old_sympos = one_in(2) ? random_below(4) : any_word();
		break;
	case 3:
		*func = *any_func();
		break;
	case 4:
		/* No entry ends the array. */
		nr = random_below(NR_OBJS);
		for (func = mem->funcs[nr]; func < mem->funcs[nr] + NR_FUNCS; func++)
			if (!func->old_name)
				*func = mem->funcs[nr][0];
		break;
	case 5:
		prandom_bytes_state(&rnd, func, sizeof(*func));
		break;
	}
}

static void change_a_state(void)
{
	struct klp_state *state = &mem->states[random_below(NR_STATES)];

	mem->patch.states = mem->states;
	switch (random_below(3)) {
	case 0:
		state->id = any_word();
		break;
	case 1:
		state->version = any_word();
		break;
	case 2:
		/* No entry ends the array, and no readable memory follows. */
		for (state = mem->states; state < mem->states + NR_STATES; state++)
			state->id = state->id ?: 1 + random_below(4);
		break;
	}
}

static int fuzz_once(void)
{
	void (*const changes[])(void) = {
		change_a_name, change_the_patch, change_an_object, change_a_function,
		change_a_state,
	};
	struct klp_patch *patch = &mem->patch;
	unsigned int nr_changes;

	describe();
	for (nr_changes = 5 + random_below(10); nr_changes; nr_changes--)
		changes[random_below(ARRAY_SIZE(changes))]();
	if (one_in(50))
		patch = wrong_pointer();
	return klp_enable_patch(patch);
}

static int run_set(const char *val, const struct kernel_param *kp)
{
	unsigned int count;
	int ret = kstrtouint(val, 0, &count);

	if (ret)
		return ret;
	/*
	 * Fail while the module's parameters are parsed: there is no memory yet. While a patch
	 * is enabled, the test must not write here: the description belongs to the loader
	 * until the patch is gone.
	 */
	if (READ_ONCE(THIS_MODULE->state) != MODULE_STATE_LIVE)
		return -EBUSY;
	while (count--) {
		ret = fuzz_once();
		if (!ret) {
			enabled++;
			return 0;
		}
		if (ret >= 0 || ret < -MAX_ERRNO)
			return -ENOTRECOVERABLE;
		refused[-ret]++;
		cond_resched();
	}
	return 0;
}

static const struct kernel_param_ops run_ops = {
	.set = run_set,
};
module_param_cb(run, &run_ops, NULL, 0200);

static int results_get(char *buf, const struct kernel_param *kp)
{
	int len, i;

	len = sysfs_emit(buf, "0 %lu\n", enabled);
	for (i = 1; i <= MAX_ERRNO; i++)
		if (refused[i])
			len += sysfs_emit_at(buf, len, "%d %lu\n", i, refused[i]);
	return len;
}

static const struct kernel_param_ops results_ops = {
	.get = results_get,
};
module_param_cb(results, &results_ops, NULL, 0444);

static int __init fuzz_init(void)
{
	prandom_seed_state(&rnd, seed);
	pages = vmalloc(PAGE_ALIGN(sizeof(*mem)));
	if (!pages)
		return -ENOMEM;
	/* Use the end of the area: the page behind it cannot be read. */
	mem = pages + PAGE_ALIGN(sizeof(*mem)) - sizeof(*mem);
	return 0;
}

static void __exit fuzz_exit(void)
{
	vfree(pages);
}

module_init(fuzz_init);
module_exit(fuzz_exit);
MODULE_DESCRIPTION("Selftest: patches with random descriptions");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
