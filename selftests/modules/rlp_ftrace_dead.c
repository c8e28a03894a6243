// SPDX-License-Identifier: GPL-2.0
/*
 * What ftrace does to itself when it finds the kernel's text to be other than it should:
 * the next time that it is to change some, it changes nothing, shuts itself down, and does
 * not tell who asked for it (ftrace_replace_code() in arch/x86/kernel/ftrace.c).
 *
 * done		read: whether it has
 */
#include <linux/kprobes.h>
#include <linux/module.h>

static bool done;
module_param(done, bool, 0444);

static void (*kill)(void);

static int instead(struct kprobe *probe, struct pt_regs *regs)
{
	if (done)
		return 0;
	done = true;
	kill();
	/* Back to the caller. */
	regs->ip = *(unsigned long *)regs->sp;
	regs->sp += sizeof(long);
	return 1;
}

static struct kprobe change = {
	.symbol_name = "ftrace_replace_code",
	.pre_handler = instead,
};

static int __init rlp_ftrace_dead_init(void)
{
	/* Not exported; a probe tells where it is. */
	struct kprobe probe = { .symbol_name = "ftrace_kill" };
	int ret = register_kprobe(&probe);

	if (ret)
		return ret;
	kill = (void *)probe.addr;
	unregister_kprobe(&probe);
	return register_kprobe(&change);
}

static void __exit rlp_ftrace_dead_exit(void)
{
	unregister_kprobe(&change);
}

module_init(rlp_ftrace_dead_init);
module_exit(rlp_ftrace_dead_exit);
MODULE_DESCRIPTION("Selftest: ftrace shuts itself down, until the next boot");
MODULE_LICENSE("GPL");
