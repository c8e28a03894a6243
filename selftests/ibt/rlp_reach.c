// SPDX-License-Identifier: GPL-2.0
/*
 * Counts the calls of functions of the loader, by a kprobe on each. Trace events cannot probe these
 * functions, because most of them have no fentry site.
 *
 * add=SYMBOL
 *	Written: count the calls of this function, from the next load of the loader on.
 * /proc/rlp_reach
 *	A line "CALLS SYMBOL" for each function. CALLS is the negative error number if the
 *	function could not be probed.
 */
#include <linux/kprobes.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>

#define LOADER "rust_livepatch"

struct counter {
	struct list_head node;
	struct kprobe probe;
	atomic_long_t calls;
	bool registered;
	int error;
	char symbol[];
};

static LIST_HEAD(counters);
static DEFINE_MUTEX(lock);

static int count(struct kprobe *probe, struct pt_regs *regs)
{
	struct counter *counter = container_of(probe, struct counter, probe);

	atomic_long_inc(&counter->calls);
	return 0;
}
NOKPROBE_SYMBOL(count);

static int add_set(const char *val, const struct kernel_param *kp)
{
	size_t len = strcspn(val, "\n");
	struct counter *counter;

	counter = kzalloc(struct_size(counter, symbol, len + sizeof(LOADER ":")), GFP_KERNEL);
	if (!counter)
		return -ENOMEM;
	sprintf(counter->symbol, LOADER ":%.*s", (int)len, val);
	guard(mutex)(&lock);
	list_add_tail(&counter->node, &counters);
	return 0;
}

static const struct kernel_param_ops add_ops = {
	.set = add_set,
};
module_param_cb(add, &add_ops, NULL, 0200);

static void attach(struct counter *counter)
{
	memset(&counter->probe, 0, sizeof(counter->probe));
	counter->probe.symbol_name = counter->symbol;
	counter->probe.pre_handler = count;
	counter->error = register_kprobe(&counter->probe);
	counter->registered = !counter->error;
}

static void detach(struct counter *counter)
{
	if (!counter->registered)
		return;
	unregister_kprobe(&counter->probe);
	atomic_long_add(counter->probe.nmissed, &counter->calls);
	counter->registered = false;
}

static int loader_changes(struct notifier_block *nb, unsigned long state, void *data)
{
	const struct module *mod = data;
	struct counter *counter;

	if (strcmp(mod->name, LOADER))
		return NOTIFY_DONE;
	guard(mutex)(&lock);
	list_for_each_entry(counter, &counters, node) {
		if (state == MODULE_STATE_COMING)
			attach(counter);
		else if (state == MODULE_STATE_GOING)
			detach(counter);
	}
	return NOTIFY_DONE;
}

static struct notifier_block watcher = {
	.notifier_call = loader_changes,
};

static int show(struct seq_file *m, void *v)
{
	struct counter *counter;

	guard(mutex)(&lock);
	list_for_each_entry(counter, &counters, node)
		seq_printf(m, "%ld %s\n",
			   counter->error ? counter->error : atomic_long_read(&counter->calls),
			   counter->symbol + sizeof(LOADER));
	return 0;
}

static int __init rlp_reach_init(void)
{
	int ret;

	if (!proc_create_single("rlp_reach", 0400, NULL, show))
		return -ENOMEM;
	ret = register_module_notifier(&watcher);
	if (ret)
		remove_proc_entry("rlp_reach", NULL);
	return ret;
}

static void __exit rlp_reach_exit(void)
{
	struct counter *counter, *next;

	unregister_module_notifier(&watcher);
	remove_proc_entry("rlp_reach", NULL);
	list_for_each_entry_safe(counter, next, &counters, node) {
		detach(counter);
		kfree(counter);
	}
}

module_init(rlp_reach_init);
module_exit(rlp_reach_exit);
MODULE_DESCRIPTION("Selftest: which functions of the loader are called");
MODULE_LICENSE("GPL");
