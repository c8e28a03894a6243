// SPDX-License-Identifier: GPL-2.0
/* A module that registers a notifier for modules. Its init waits while any such notifier runs. */
#include <linux/module.h>
#include <linux/notifier.h>

static int ignore(struct notifier_block *block, unsigned long event, void *module)
{
	return NOTIFY_DONE;
}

static struct notifier_block block = {
	.notifier_call = ignore,
};

static int __init rlp_notifier_init(void)
{
	return register_module_notifier(&block);
}

static void __exit rlp_notifier_exit(void)
{
	unregister_module_notifier(&block);
}

module_init(rlp_notifier_init);
module_exit(rlp_notifier_exit);
MODULE_DESCRIPTION("Selftest: a module notifier");
MODULE_LICENSE("GPL");
