/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A patch that is described when it is loaded:
 *
 *	insmod rlp_patch_a.ko says=text funcs=rlp_target:one_show=say
 *
 * funcs=OBJECT:FUNCTION[@SYMPOS][=REPLACEMENT],...
 *	what to replace. No OBJECT: a function of vmlinux; "EMPTY": an object
 *	whose name is empty. No FUNCTION: one without a name; "EMPTY": one whose
 *	name is empty. Entries in a row for the same object make one object.
 *	REPLACEMENT is one of replacements[] below; the default is "say".
 * says=TEXT
 *	the line that "say" prints: for functions that show a seq_file.
 * replace=Y
 *	the patch replaces all others.
 * shape=WHAT
 *	leave something out: "null-patch", "no-module", "no-objects",
 *	"no-functions" (of the first object). Lead nowhere: "no-address",
 *	"unaligned", "other-module", "endless" (a name), "endless-states". "veto": a
 *	callback of the first object that says no by a positive number. "signed": what the
 *	kernel notes of a module whose signature it has verified. "pairs": callbacks that
 *	warn if there is a post_unpatch without a pre_patch.
 * refuse=NUMBER
 *	with shape=pairs, the pre_patch of this object fails, counted from 0.
 * fail=ERRNO
 *	init fails with it after it has enabled the patch. It waits for "hold" before.
 * hold=Y
 *	see there; can be changed, and is for a minute at most.
 * again
 *	writing to it enables the patch once more.
 *
 * Included by files that differ in nothing but their module's name.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/vmalloc.h>
#include <asm/ibt.h>

#ifdef RLP_IN_TREE
/* The kernel's own, which this name meant before the loader's header. */
#undef klp_enable_patch
#endif

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

/* At an odd address, where compilers may put a function that they take to be cold. Before it is
 * what must not be run.
 */
asm(".pushsection .text\n"
    ".balign 16, 0xcc\n"
    "int3\n"
    ".type odd, @function\n"
    "odd:\n"
    ASM_ENDBR
    "jmp say\n"
    ".size odd, . - odd\n"
    ".popsection\n");
int odd(struct seq_file *m, void *v);

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
	{ "null", NULL },
	{ "vmlinux", seq_printf },
	{ "data", &data },
	{ "init", in_init_text },
	{ "middle", (void *)say + 1 },
	{ "odd", odd },
};

static char endless[8192] = { [0 ... 8191] = 'x' };
static struct klp_func klp_funcs[MAX_FUNCS][MAX_FUNCS + 1];
static struct klp_object objs[MAX_FUNCS + 1];
static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

/* More entries than the loader follows. */
static struct klp_state *endless_states;

static struct klp_state * __init states_without_end(void)
{
	const int most = 1 << 18;
	struct klp_state *states = vcalloc(most + 1, sizeof(*states));
	int i;

	for (i = 0; states && i <= most; i++)
		states[i].id = 1;
	return states;
}

static char *or_empty(char *name)
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
		func->old_name = or_empty(name);
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

/* In-tree takes whatever is not 0 for a no. */
static int veto(struct klp_object *obj)
{
	return 1;
}

static int refuse = -1;
module_param(refuse, int, 0644);

/* Since the patch was enabled the last time. */
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

/* ENOEXEC, which the loader never returns, for a description that is wrong. */
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
			objs[++obj].name = *object ? or_empty(object) : NULL;
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
		klp_funcs[0][0].old_name = endless;
	else if (!strcmp(shape, "endless-states"))
		patch.states = endless_states = states_without_end();
	else if (!strcmp(shape, "veto"))
		objs[0].callbacks.pre_patch = veto;
	for (i = 0; !strcmp(shape, "pairs") && i <= obj; i++) {
		objs[i].callbacks.pre_patch = pre_patch;
		objs[i].callbacks.post_unpatch = post_unpatch;
	}
	return 0;
}

static int fail;
module_param(fail, int, 0444);

static bool hold;
module_param(hold, bool, 0644);

static int again_set(const char *val, const struct kernel_param *kp)
{
	/* Not while parameters are parsed, before the module's init. */
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
}

module_init(patch_init);
module_exit(patch_exit);
MODULE_DESCRIPTION("Selftest: a patch that is described when it is loaded");
MODULE_LICENSE("GPL");
#ifndef RLP_UNTAGGED
MODULE_INFO(livepatch, "Y");
#endif
