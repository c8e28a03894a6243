/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A patch of the benchmark, for either loader. The including file first includes
 * <linux/livepatch.h> or <rust_livepatch.h>, and defines FUNCTIONS as one of the macros
 * in bench_functions.h. If it defines SLEEPER, bench_sleeper() is patched too.
 */
#include <linux/module.h>

#define REPLACEMENT(nr)						\
	static noinline long new_##nr(long x)			\
	{							\
		asm volatile("" : "+r" (x));			\
		return x + 1;					\
	}
FUNCTIONS(REPLACEMENT)

#ifdef SLEEPER
static int new_sleeper(void)
{
	return 0;
}
#endif

#define ENTRY(nr) { .old_name = "bench_" #nr, .new_func = new_##nr, },
static struct klp_func funcs[] = {
	FUNCTIONS(ENTRY)
#ifdef SLEEPER
	{ .old_name = "bench_sleeper", .new_func = new_sleeper, },
#endif
	{ }
};

static struct klp_object objs[] = {
	{ .name = "bench_target", .funcs = funcs, },
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static bool enable = true;
module_param(enable, bool, 0);
MODULE_PARM_DESC(enable, "Enable the patch (default: Y); with N the module is only loaded");

static bool replace;
module_param(replace, bool, 0);
MODULE_PARM_DESC(replace, "Replace all other patches (default: N)");

static int __init patch_init(void)
{
	patch.replace = replace;
	return enable ? klp_enable_patch(&patch) : 0;
}

static void __exit patch_exit(void)
{
}

module_init(patch_init);
module_exit(patch_exit);
MODULE_DESCRIPTION("A patch of the benchmark");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
