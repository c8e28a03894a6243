// SPDX-License-Identifier: GPL-2.0
/* What ftrace does to itself when it finds the kernel's text to be other than it should. */
#include <linux/kprobes.h>
#include <linux/module.h>

static int __init rlp_ftrace_dead_init(void)
{
	/* Not exported; a probe tells where it is. */
	struct kprobe probe = { .symbol_name = "ftrace_kill" };
	int ret = register_kprobe(&probe);
	void (*kill)(void);

	if (ret)
		return ret;
	kill = (void *)probe.addr;
	unregister_kprobe(&probe);
	kill();
	return 0;
}

static void __exit rlp_ftrace_dead_exit(void)
{
}

module_init(rlp_ftrace_dead_init);
module_exit(rlp_ftrace_dead_exit);
MODULE_DESCRIPTION("Selftest: ftrace shuts itself down, until the next boot");
MODULE_LICENSE("GPL");
