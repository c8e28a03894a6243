/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A patch module whose parameters describe the patch:
 *
 *	insmod rlp_patch_a.ko says=text funcs=rlp_target:one_show=say
 *
 * funcs=OBJECT:FUNCTION[@SYMPOS][=REPLACEMENT],...
 *	The functions to replace. An OBJECT that is left out is vmlinux; "EMPTY" is
 *	an object with an empty name. A FUNCTION that is left out has no name;
 *	"EMPTY" is a function with an empty name. Successive entries with the same
 *	object describe one object. REPLACEMENT is a name in replacements[] below.
 *	The default is "say".
 *	"deny" replaces any function, and returns -EPERM.
 * says=TEXT
 *	The line that "say" prints. "say" replaces functions that show a seq_file.
 * kills=COMM
 *	The tasks that "kill" kills. "kill" replaces any function, and returns -ENOSYS
 *	for all other tasks.
 * replace=Y
 *	The patch replaces all other patches.
 * shape=SHAPE
 *	A change to the patch:
 *	null-patch	klp_enable_patch() is called with NULL
 *	no-module	the patch has no module
 *	no-objects	the patch has no array of objects
 *	no-functions	the first object has no array of functions
 *	no-address	the array of objects is at a non-canonical address
 *	unaligned	the array of objects is at an unaligned address
 *	other-module	the patch's module pointer does not point to this module
 *	endless		the name of the first function is not terminated
 *	endless-states	the array of states has more entries than the loader follows
 *	veto		pre_patch() of the first object refuses with a positive number
 *	signed		this module is marked as if the kernel had verified its signature
 *	pairs		the callbacks warn about post_unpatch() without pre_patch()
 *	lists		the callbacks warn if the lists of the patch are not complete,
 *			and the exit function warns if they are not empty
 * refuse=NUMBER
 *	With shape=pairs, pre_patch() of the object with this number fails. The first
 *	object is 0.
 * hold=Y
 *	The init function waits after klp_enable_patch() until "hold" is N, for a
 *	minute at most.
 * fail=ERRNO
 *	The init function enables the patch, waits for "hold", and fails with ERRNO.
 * again
 *	A write enables the patch once more.
 *
 * The files that include this one make modules of different names. rlp_patch_b and rlp_patch_c also
 * have a level and a list of CVEs, and rlp_patch_untagged is not marked as a live patch.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "rlp_arch.h"

#define MAX_FUNCS 16

static char *funcs[MAX_FUNCS];
static unsigned int nr_funcs;
module_param_array(funcs, charp, &nr_funcs, 0444);

static char *says = "patched";
module_param(says, charp, 0644);

static bool replace;
module_param(replace, bool, 0444);

static char *shape = "";
module_param(shape, charp, 0444);

static int say(struct seq_file *m, void *v)
{
	seq_printf(m, "%s\n", says);
	return 0;
}

static long deny(void)
{
	return -EPERM;
}

static char *kills = "";
module_param(kills, charp, 0444);

/* It may replace a function that must not sleep: send_sig() does not sleep. */
static long kill(void)
{
	char comm[TASK_COMM_LEN];

	if (!strcmp(get_task_comm(comm, current), kills))
		send_sig(SIGKILL, current, 1);
	return -ENOSYS;
}

/* A replacement at an odd address. */
RLP_ASM_ODD(odd, say);
int odd(struct seq_file *m, void *v);

/* A replacement without a landing pad, which is an ENDBR on x86. */
RLP_ASM_BARE(bare, say);
int bare(struct seq_file *m, void *v);

/* For functions that return an integer, and that nothing calls while they are patched. */
static int nothing(void)
{
	return 0;
}

static long die(void)
{
	panic("rlp_patch: a patch that panics");
}

/* The task sleeps in the patch until it is killed. */
static int doze(struct seq_file *m, void *v)
{
	while (!fatal_signal_pending(current))
		schedule_timeout_killable(HZ);
	return 0;
}

static int __init in_init_text(struct seq_file *m, void *v)
{
	return 0;
}

static int data;

static const struct {
	const char *name;
	void *func;
} replacements[] = {
	{ "say", say },
	{ "deny", deny },
	{ "kill", kill },
	{ "null", NULL },
	{ "vmlinux", seq_printf },
	{ "data", &data },
	{ "init", in_init_text },
	{ "middle", (void *)say + 1 },
	{ "odd", odd },
	{ "bare", bare },
	{ "nothing", nothing },
	{ "doze", doze },
	{ "panic", die },
};

static char endless_name[8192] = { [0 ... 8191] = 'x' };
static struct klp_func klp_funcs[MAX_FUNCS][MAX_FUNCS + 1];
static struct klp_object objs[MAX_FUNCS + 1];
static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static struct klp_state *endless_states;

/* Returns an array with more entries than the loader follows, and no entry that ends it. */
static struct klp_state * __init alloc_endless_states(void)
{
	const int limit = 1 << 18;
	struct klp_state *states = vcalloc(limit + 1, sizeof(*states));
	int i;

	for (i = 0; states && i <= limit; i++)
		states[i].id = 1;
	return states;
}

static char *empty_if_asked(char *name)
{
	return strcmp(name, "EMPTY") ? name : "";
}

static int __init describe_func(struct klp_func *func, char *text)
{
	char *replacement = text, *sympos, *name;
	int i;

	sympos = strsep(&replacement, "=");
	name = strsep(&sympos, "@");
	if (*name)
		func->old_name = empty_if_asked(name);
	if (sympos && kstrtoul(sympos, 0, &func->old_sympos))
		return -ENOEXEC;
	if (!replacement)
		replacement = "say";
	for (i = 0; i < ARRAY_SIZE(replacements); i++) {
		if (!strcmp(replacements[i].name, replacement)) {
			func->new_func = replacements[i].func;
			return 0;
		}
	}
	return -ENOEXEC;
}

/* In-tree livepatch treats any value other than 0 as a refusal. */
static int veto(struct klp_object *obj)
{
	return 1;
}

static int refuse = -1;
module_param(refuse, int, 0644);

/* Objects whose pre_patch() has succeeded since the patch was last enabled. */
static bool prepared[MAX_FUNCS];

static int pre_patch(struct klp_object *obj)
{
	if (obj - objs == refuse)
		return -ENOMEM;
	prepared[obj - objs] = true;
	return 0;
}

static void post_unpatch(struct klp_object *obj)
{
	WARN_ON(!prepared[obj - objs]);
}

/* Warns unless the lists have the objects and functions of the arrays, in their order. */
static void check_lists(struct klp_object *unused)
{
	struct klp_patch *p = &patch;
	struct klp_object *obj, *next_obj, *wanted_obj = objs;
	struct klp_func *func, *next_func, *wanted;

	klp_for_each_object(p, obj) {
		WARN_ON(obj != wanted_obj++);
		wanted = obj->funcs;
		klp_for_each_func(obj, func)
			WARN_ON(func != wanted++);
		WARN_ON(wanted->old_name);
	}
	WARN_ON(wanted_obj->funcs);

	wanted_obj = objs;
	klp_for_each_object_safe(p, obj, next_obj) {
		WARN_ON(obj != wanted_obj++);
		wanted = obj->funcs;
		klp_for_each_func_safe(obj, func, next_func)
			WARN_ON(func != wanted++);
		WARN_ON(wanted->old_name);
	}
	WARN_ON(wanted_obj->funcs);
}

static int check_lists_first(struct klp_object *obj)
{
	check_lists(obj);
	return 0;
}

static const struct klp_callbacks list_checks = {
	.pre_patch = check_lists_first,
	.post_patch = check_lists,
	.pre_unpatch = check_lists,
	.post_unpatch = check_lists,
};

/* Returns -ENOEXEC, which the loader never returns, if a parameter is invalid. */
static int __init describe(void)
{
	char *object, *last = NULL, *func;
	int obj = -1, nr = 0, i, ret;

	for (i = 0; i < nr_funcs; i++) {
		func = funcs[i];
		object = strsep(&func, ":");
		if (!func)
			return -ENOEXEC;
		if (!last || strcmp(last, object)) {
			objs[++obj].name = *object ? empty_if_asked(object) : NULL;
			objs[obj].funcs = klp_funcs[obj];
			last = object;
			nr = 0;
		}
		ret = describe_func(&klp_funcs[obj][nr++], func);
		if (ret)
			return ret;
	}
	patch.replace = replace;
	if (!strcmp(shape, "no-module"))
		patch.mod = NULL;
	else if (!strcmp(shape, "no-objects"))
		patch.objs = NULL;
	else if (!strcmp(shape, "no-functions"))
		objs[0].funcs = NULL;
	else if (!strcmp(shape, "no-address"))
		patch.objs = (void *)0xdead000000000000;
	else if (!strcmp(shape, "unaligned"))
		patch.objs = (void *)objs + 1;
	else if (!strcmp(shape, "other-module"))
		patch.mod = (void *)objs;
	else if (!strcmp(shape, "endless"))
		klp_funcs[0][0].old_name = endless_name;
	else if (!strcmp(shape, "endless-states"))
		patch.states = endless_states = alloc_endless_states();
	else if (!strcmp(shape, "veto"))
		objs[0].callbacks.pre_patch = veto;
	for (i = 0; !strcmp(shape, "pairs") && i <= obj; i++) {
		objs[i].callbacks.pre_patch = pre_patch;
		objs[i].callbacks.post_unpatch = post_unpatch;
	}
	for (i = 0; !strcmp(shape, "lists") && i <= obj; i++)
		objs[i].callbacks = list_checks;
	return 0;
}

static int fail;
module_param(fail, int, 0444);

static bool hold;
module_param(hold, bool, 0644);

static int again_set(const char *val, const struct kernel_param *kp)
{
	/* Fail while the module's parameters are parsed: the init function has not run yet. */
	if (THIS_MODULE->state != MODULE_STATE_LIVE)
		return -ENOEXEC;
	memset(prepared, 0, sizeof(prepared));
	return klp_enable_patch(&patch);
}

static const struct kernel_param_ops again_ops = {
	.set = again_set,
};
module_param_cb(again, &again_ops, NULL, 0200);

static int __init patch_init(void)
{
	int ret = describe(), i;

	if (ret)
		return ret;
#ifdef CONFIG_MODULE_SIG
	if (!strcmp(shape, "signed"))
		THIS_MODULE->sig_ok = true;
#endif
	ret = klp_enable_patch(strcmp(shape, "null-patch") ? &patch : NULL);
	for (i = 0; READ_ONCE(hold) && i < 6000; i++)
		msleep(10);
	vfree(endless_states);
	return ret ? ret : fail;
}

static void __exit patch_exit(void)
{
	struct klp_patch *p = &patch;
	struct klp_object *obj;

	if (strcmp(shape, "lists"))
		return;
	WARN_ON(!list_empty(&p->obj_list));
	klp_for_each_object_static(p, obj)
		WARN_ON(!list_empty(&obj->func_list));
}

module_init(patch_init);
module_exit(patch_exit);
MODULE_DESCRIPTION("Selftest: a patch that the module's parameters describe");
MODULE_LICENSE("GPL");
#ifndef RLP_UNTAGGED
MODULE_INFO(livepatch, "Y");
#endif
