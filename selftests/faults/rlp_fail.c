// SPDX-License-Identifier: GPL-2.0
/*
 * Makes one memory allocation fail: the n-th allocation of a given task in a given kernel
 * function. The code under test needs no preparation:
 *
 *	insmod rlp_fail.ko
 *	cd /sys/module/rlp_fail/parameters
 *	echo do_one_initcall >within
 *	echo -n insmod >comm
 *	echo 7 >nth
 *
 * within		the function; empty: no function
 * comm			the name of the task; "*": any task
 * nth			the number of the allocation that fails, counted from 1;
 *			0: no allocation fails. A write resets the count
 * all_from_nth=Y	all allocations from this number on fail
 * seen			the number of allocations since the last write to nth, in all
 *			calls of the function
 * failed		the caller of the allocation that has failed since that write
 * live			the number of objects that Rust code has allocated since this
 *			module was loaded, less the objects that it has freed
 *
 * The slab allocator's functions are redirected as a live patch would redirect them. A call
 * of kvmalloc() counts as one allocation. So does a call of kvrealloc(), with which Rust code
 * allocates objects that may be large. The first attempts inside these two functions are not
 * counted: if such an attempt failed, the functions would try another way, and not fail.
 * Allocations inside vmalloc() are not counted either: the call of vmalloc() is.
 */
#include <linux/ftrace.h>
#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "../lib/rlp_arch.h"

static char comm[TASK_COMM_LEN];
module_param_string(comm, comm, sizeof(comm), 0644);

static unsigned int seen;
module_param(seen, uint, 0444);

static char failed[KSYM_SYMBOL_LEN];
module_param_string(failed, failed, sizeof(failed), 0444);

static bool all_from_nth;
module_param(all_from_nth, bool, 0644);

static atomic_t nr_live;
static unsigned int nth;
/* The task in the function, and whether kvrealloc() made the task's latest call of krealloc(). */
static struct task_struct *counted_task;
static bool krealloc_by_kvrealloc;

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

/* The functions that are redirected, and the position of the flags among their arguments. */
static const struct alloc {
	char *name;
	int gfp;
	bool frees;	/* a call with a size (the second argument) of 0 frees */
} allocs[] = {
	{ "kmem_cache_alloc_noprof", 1 },
	{ "kmem_cache_alloc_lru_noprof", 2 },
	{ "kmem_cache_alloc_node_noprof", 1 },
	{ "__kmalloc_noprof", 1 },
	{ "__kmalloc_cache_noprof", 1 },
	{ "__kmalloc_cache_node_noprof", 1 },
	{ "__kmalloc_large_noprof", 1 },
	/* With CONFIG_SLAB_BUCKETS, one more argument precedes the flags: the bucket. */
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

/*
 * Whether the caller is a part of vmalloc(). If an allocation inside vmalloc() fails, vmalloc()
 * logs a warning with a stack trace. Its result is the same as if the call of vmalloc() itself had
 * failed.
 */
static bool notrace is_in_vmalloc(const char *caller)
{
	return strstarts(caller, "__get_vm_area_node") || strstarts(caller, "alloc_vmap_area") ||
	       strstarts(caller, "__vmalloc_area_node") ||
	       strstarts(caller, "__vmalloc_node_range");
}

static void notrace on_alloc(unsigned long ip, unsigned long parent_ip,
			     struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
	/* The flags of gfp_nested_mask(), with which checkers allocate memory for themselves. */
	const gfp_t nested = __GFP_NORETRY | __GFP_NOMEMALLOC | __GFP_NOWARN;
	struct hook *hook = container_of(ops, struct hook, ops);
	char caller[KSYM_SYMBOL_LEN];
	gfp_t gfp;

	if (READ_ONCE(counted_task) != current || !in_task())
		return;
	gfp = ftrace_regs_get_argument(fregs, hook->alloc->gfp);
	if (gfp & __GFP_NOFAIL || (gfp & nested) == nested)
		return;
	if (hook->alloc->frees && !ftrace_regs_get_argument(fregs, 1))
		return;
	sprint_symbol(caller, parent_ip);
	if (strstarts(caller, "__kvmalloc_") || is_in_vmalloc(caller) ||
	    (krealloc_by_kvrealloc && strstarts(caller, "krealloc_")))
		return;
	seen++;
	if (!nth || seen < nth || (seen > nth && !READ_ONCE(all_from_nth)))
		return;
	strscpy(failed, caller);
	ftrace_regs_set_instruction_pointer(fregs, (unsigned long)return_null);
}

static struct hook hooks[ARRAY_SIZE(allocs)];

/*
 * Rust code makes all its allocations and frees with krealloc(), kvrealloc() and vrealloc(), which
 * are probed. C code calls them too, but frees with kfree(), so calls by C code are not counted.
 * Failed allocations are not counted, whatever made them fail. The attempt that kvrealloc()
 * makes first is not counted either: it may fail without harm.
 */
struct realloc_call {
	bool had_memory, wants_memory;
};

static int on_realloc(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct realloc_call *call = (struct realloc_call *)ri->data;
	char caller[KSYM_SYMBOL_LEN];
	bool kvrealloc;

	sprint_symbol(caller, rlp_return_address(regs));
	kvrealloc = strstarts(caller, "kvrealloc_");
	if (READ_ONCE(counted_task) == current)
		krealloc_by_kvrealloc = kvrealloc;
	if (!strstarts(caller, "rust_helper_") && !strstarts(caller, "_R") &&
	    !strstarts(caller, "rlp_rust_") && !strstr(caller, "[rust_livepatch]"))
		return 1;
	call->had_memory = regs_get_kernel_argument(regs, 0);
	call->wants_memory = regs_get_kernel_argument(regs, 1);
	return 0;
}

static int after_realloc(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct realloc_call *call = (struct realloc_call *)ri->data;

	if (!call->had_memory && call->wants_memory && regs_return_value(regs))
		atomic_inc(&nr_live);
	else if (call->had_memory && !call->wants_memory)
		atomic_dec(&nr_live);
	return 0;
}

#define REALLOC_PROBE(name) {				\
	.kp.symbol_name = name,				\
	.entry_handler = on_realloc,			\
	.handler = after_realloc,			\
	.data_size = sizeof(struct realloc_call),	\
	.maxactive = 64,				\
}

static struct kretprobe realloc_probes[] = {
	REALLOC_PROBE("krealloc_node_align_noprof"),
	REALLOC_PROBE("kvrealloc_node_align_noprof"),
	REALLOC_PROBE("vrealloc_node_align_noprof"),
};

static struct kretprobe *all_probes[] = {
	&realloc_probes[0], &realloc_probes[1], &realloc_probes[2],
};

static int live_get(char *buf, const struct kernel_param *kp)
{
	/* Missed calls were not counted. */
	for (int i = 0; i < ARRAY_SIZE(realloc_probes); i++)
		if (realloc_probes[i].nmissed)
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
	WRITE_ONCE(counted_task, current);
	return 0;
}

static int on_return(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	WRITE_ONCE(counted_task, NULL);
	return 0;
}

static char within[KSYM_NAME_LEN];
static struct kretprobe within_probe;

static int within_set(const char *val, const struct kernel_param *kp)
{
	int ret;

	/* Fail while the module's parameters are parsed: nothing can be counted yet. */
	if (THIS_MODULE->state != MODULE_STATE_LIVE)
		return -ENOEXEC;
	if (*within)
		unregister_kretprobe(&within_probe);
	strscpy(within, val);
	strim(within);
	if (!*within)
		return 0;
	within_probe = (struct kretprobe) {
		.kp.symbol_name = within,
		.entry_handler = on_entry,
		.handler = on_return,
	};
	ret = register_kretprobe(&within_probe);
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
		unregister_kretprobe(&within_probe);
	unregister_kretprobes(all_probes, ARRAY_SIZE(all_probes));
	for (i = 0; i < ARRAY_SIZE(hooks); i++)
		unhook(&hooks[i].ops);
}

module_init(fail_init);
module_exit(fail_exit);
MODULE_DESCRIPTION("Selftest: allocations that fail");
MODULE_LICENSE("GPL");
