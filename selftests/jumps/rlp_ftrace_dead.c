// SPDX-License-Identifier: GPL-2.0
/*
 * Shuts ftrace down, as ftrace itself does when it finds unexpected code in the kernel's
 * text. The next time that ftrace has to change code, it changes nothing, shuts itself
 * down, and returns no error to its caller (ftrace_replace_code() in
 * arch/x86/kernel/ftrace.c, or in kernel/trace/ftrace.c for other architectures).
 *
 * done		read: whether ftrace has been shut down
 */
#include <linux/kprobes.h>
#include <linux/module.h>

#include "../lib/rlp_arch.h"

static bool done;
module_param(done, bool, 0444);

static void (*ftrace_kill_func)(void);

static int kill_instead(struct kprobe *probe, struct pt_regs *regs)
{
	if (done)
		return 0;
	done = true;
	ftrace_kill_func();
	/* Return to the caller of ftrace_replace_code(). */
	rlp_return(regs);
	return 1;
}

static struct kprobe replace_code_probe = {
	.symbol_name = "ftrace_replace_code",
	.pre_handler = kill_instead,
};

static int __init rlp_ftrace_dead_init(void)
{
	/* ftrace_kill() is not exported. A probe finds its address. */
	struct kprobe probe = { .symbol_name = "ftrace_kill" };
	int ret = register_kprobe(&probe);

	if (ret)
		return ret;
	ftrace_kill_func = (void *)probe.addr;
	unregister_kprobe(&probe);
	return register_kprobe(&replace_code_probe);
}

static void __exit rlp_ftrace_dead_exit(void)
{
	unregister_kprobe(&replace_code_probe);
}

module_init(rlp_ftrace_dead_init);
module_exit(rlp_ftrace_dead_exit);
MODULE_DESCRIPTION("Selftest: ftrace shuts itself down, until the next boot");
MODULE_LICENSE("GPL");
