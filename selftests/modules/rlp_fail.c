// SPDX-License-Identifier: GPL-2.0
/*
 * Makes one memory allocation of a task fail while it is in one kernel function,
 * with nothing prepared for it in the code under test:
 *
 *	insmod rlp_fail.ko
 *	cd /sys/module/rlp_fail/parameters
 *	echo do_one_initcall >within
 *	echo -n insmod >comm
 *	echo 7 >nth
 *
 * within		the function; empty: none
 * comm			the name of the task; "*": any
 * nth			which allocation fails, counted from 1; 0: none. Writing it
 *			starts a new count
 * seen			how many there were since then, in all calls of the function
 * failed		in whose behalf one failed since then
 * live			objects that Rust code has allocated since this module was
 *			loaded, less those that it has freed
 *
 * The slab's functions are redirected the way a live patch would. kvrealloc(), with
 * which Rust code allocates what may be large, and kvmalloc() count as one each, not
 * what they try first: they would try the next and never fail.
 */
#include <linux/ftrace.h>
#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>

static char comm[TASK_COMM_LEN];
module_param_string(comm, comm, sizeof(comm), 0644);

static unsigned int seen;
module_param(seen, uint, 0444);

static char failed[KSYM_SYMBOL_LEN];
module_param_string(failed, failed, sizeof(failed), 0444);

static atomic_t nr_live;
static unsigned int nth;
static struct task_struct *inside;
static bool made_by_kvrealloc;

static int nth_set(const char *val, const struct kernel_param *kp)
{
	int ret = param_set_uint(val, kp);

	seen = 0;
	failed[0] = 0;
	return ret;
}

static const struct kernel_param_ops nth_ops = {
	.set = nth_set,
	.get = param_get_uint,
};
module_param_cb(nth, &nth_ops, &nth, 0644);

/* Where the flags are among the arguments of each function that is redirected. */
static const struct alloc {
	char *name;
	int gfp;
	bool frees;	/* if the second argument, the size, is 0 */
} allocs[] = {
	{ "kmem_cache_alloc_noprof", 1 },
	{ "kmem_cache_alloc_lru_noprof", 2 },
	{ "kmem_cache_alloc_node_noprof", 1 },
	{ "__kmalloc_noprof", 1 },
	{ "__kmalloc_cache_noprof", 1 },
	{ "__kmalloc_cache_node_noprof", 1 },
	{ "__kmalloc_large_noprof", 1 },
	/* With CONFIG_SLAB_BUCKETS there is a bucket in front of the flags. */
	{ "__kmalloc_node_noprof", IS_ENABLED(CONFIG_SLAB_BUCKETS) ? 2 : 1 },
	{ "__kmalloc_node_track_caller_noprof", IS_ENABLED(CONFIG_SLAB_BUCKETS) ? 2 : 1 },
	{ "__kvmalloc_node_noprof", IS_ENABLED(CONFIG_SLAB_BUCKETS) ? 3 : 2 },
	{ "__vmalloc_node_range_noprof", 4 },
	{ "kvrealloc_node_align_noprof", 3, .frees = true },
};

struct hook {
	struct ftrace_ops ops;
	const struct alloc *alloc;
};

static noinline notrace void *return_null(void)
{
	return NULL;
}

static void notrace on_alloc(unsigned long ip, unsigned long parent_ip,
			     struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
	/* Those of gfp_nested_mask(): what a checker allocates to do its work. */
	const gfp_t nested = __GFP_NORETRY | __GFP_NOMEMALLOC | __GFP_NOWARN;
	struct hook *hook = container_of(ops, struct hook, ops);
	char caller[KSYM_SYMBOL_LEN];
	gfp_t gfp;

	if (READ_ONCE(inside) != current || !in_task())
		return;
	gfp = ftrace_regs_get_argument(fregs, hook->alloc->gfp);
	if (gfp & __GFP_NOFAIL || (gfp & nested) == nested)
		return;
	if (hook->alloc->frees && !ftrace_regs_get_argument(fregs, 1))
		return;
	sprint_symbol(caller, parent_ip);
	if (strstarts(caller, "__kvmalloc_") ||
	    (made_by_kvrealloc && strstarts(caller, "krealloc_")))
		return;
	if (++seen != nth)
		return;
	strscpy(failed, caller);
	ftrace_regs_set_instruction_pointer(fregs, (unsigned long)return_null);
}

static struct hook hooks[ARRAY_SIZE(allocs)];

/*
 * krealloc() and kvrealloc(), through which all allocations of Rust code go, and all its
 * frees. C code has them as well, but frees with kfree(): it is not counted. Nor is what
 * failed, whoever let it; nor what kvrealloc() tries first, which may fail without harm.
 */
struct change {
	bool had, wants;
};

static int on_realloc(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct change *change = (struct change *)ri->data;
	char caller[KSYM_SYMBOL_LEN];
	bool kvrealloc;

	/* At a function's first instruction. */
	sprint_symbol(caller, *(unsigned long *)kernel_stack_pointer(regs));
	kvrealloc = strstarts(caller, "kvrealloc_");
	if (READ_ONCE(inside) == current)
		made_by_kvrealloc = kvrealloc;
	if (!strstarts(caller, "rust_helper_") && !strstarts(caller, "_R") &&
	    !strstr(caller, "[rust_livepatch]"))
		return 1;
	change->had = regs_get_kernel_argument(regs, 0);
	change->wants = regs_get_kernel_argument(regs, 1);
	return 0;
}

static int after_realloc(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct change *change = (struct change *)ri->data;

	if (!change->had && change->wants && regs_return_value(regs))
		atomic_inc(&nr_live);
	else if (change->had && !change->wants)
		atomic_dec(&nr_live);
	return 0;
}

#define REALLOC_PROBE(name) {				\
	.kp.symbol_name = name,				\
	.entry_handler = on_realloc,			\
	.handler = after_realloc,			\
	.data_size = sizeof(struct change),		\
	.maxactive = 64,				\
}

static struct kretprobe realloc_probes[] = {
	REALLOC_PROBE("krealloc_node_align_noprof"),
	REALLOC_PROBE("kvrealloc_node_align_noprof"),
};

static struct kretprobe *all_probes[] = { &realloc_probes[0], &realloc_probes[1] };

static int live_get(char *buf, const struct kernel_param *kp)
{
	/* Some were not counted. */
	if (realloc_probes[0].nmissed || realloc_probes[1].nmissed)
		return -EIO;
	return sysfs_emit(buf, "%d\n", atomic_read(&nr_live));
}

static const struct kernel_param_ops live_ops = {
	.get = live_get,
};
module_param_cb(live, &live_ops, NULL, 0444);

static int on_entry(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	if (strcmp(comm, "*") && strcmp(current->comm, comm))
		return 1;
	WRITE_ONCE(inside, current);
	return 0;
}

static int on_return(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	WRITE_ONCE(inside, NULL);
	return 0;
}

static char within[KSYM_NAME_LEN];
static struct kretprobe window;

static int within_set(const char *val, const struct kernel_param *kp)
{
	int ret;

	/* Not while parameters are parsed, before there is anything to count. */
	if (THIS_MODULE->state != MODULE_STATE_LIVE)
		return -ENOEXEC;
	if (*within)
		unregister_kretprobe(&window);
	strscpy(within, val);
	strim(within);
	if (!*within)
		return 0;
	window = (struct kretprobe) {
		.kp.symbol_name = within,
		.entry_handler = on_entry,
		.handler = on_return,
	};
	ret = register_kretprobe(&window);
	if (ret)
		*within = 0;
	return ret;
}

static int within_get(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%s\n", within);
}

static const struct kernel_param_ops within_ops = {
	.set = within_set,
	.get = within_get,
};
module_param_cb(within, &within_ops, NULL, 0644);

static int __init hook(struct ftrace_ops *ops, char *name)
{
	int ret = ftrace_set_filter(ops, name, strlen(name), 1);

	if (!ret)
		ret = register_ftrace_function(ops);
	if (ret) {
		pr_err("rlp_fail: %s: %d\n", name, ret);
		ftrace_free_filter(ops);
	}
	return ret;
}

static void unhook(struct ftrace_ops *ops)
{
	unregister_ftrace_function(ops);
	ftrace_free_filter(ops);
}

static int __init fail_init(void)
{
	int i, ret;

	for (i = 0; i < ARRAY_SIZE(allocs); i++) {
		hooks[i].alloc = &allocs[i];
		hooks[i].ops.func = on_alloc;
		hooks[i].ops.flags = FTRACE_OPS_FL_IPMODIFY | FTRACE_OPS_FL_RECURSION;
		ret = hook(&hooks[i].ops, allocs[i].name);
		if (ret)
			goto unhook;
	}
	ret = register_kretprobes(all_probes, ARRAY_SIZE(all_probes));
	if (!ret)
		return 0;
unhook:
	while (i--)
		unhook(&hooks[i].ops);
	return ret;
}

static void __exit fail_exit(void)
{
	int i;

	if (*within)
		unregister_kretprobe(&window);
	unregister_kretprobes(all_probes, ARRAY_SIZE(all_probes));
	for (i = 0; i < ARRAY_SIZE(hooks); i++)
		unhook(&hooks[i].ops);
}

module_init(fail_init);
module_exit(fail_exit);
MODULE_DESCRIPTION("Selftest: allocations that fail");
MODULE_LICENSE("GPL");
