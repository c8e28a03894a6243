// SPDX-License-Identifier: GPL-2.0
/*
 * Hold a CPU in the loader's handler while the CPU is brought online.
 *
 * The handler looks up the destination of each call with rlp_ftrace_target(). A kprobe on this
 * function spins if its CPU is not online yet. The CPU is then in the handler, because it has
 * called a hooked function.
 *
 * Module parameters:
 *
 * hold=Y	a CPU that is brought online spins until hold=N, for MAX_HOLD_MS at most
 * held		the number of CPUs that were held
 * timeouts	the number of CPUs that were held for MAX_HOLD_MS
 */
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/smp.h>

/* The CPU that brings the other CPU online gives up after 10 seconds. */
#define MAX_HOLD_MS 8000

static bool hold;
module_param(hold, bool, 0644);

static int held;
module_param(held, int, 0444);

static int timeouts;
module_param(timeouts, int, 0444);

static int spin(struct kprobe *probe, struct pt_regs *regs)
{
	int ms;

	if (cpu_online(raw_smp_processor_id()) || !READ_ONCE(hold))
		return 0;
	WRITE_ONCE(held, held + 1);
	for (ms = 0; READ_ONCE(hold) && ms < MAX_HOLD_MS; ms++)
		udelay(1000);
	if (ms == MAX_HOLD_MS)
		WRITE_ONCE(timeouts, timeouts + 1);
	return 0;
}

/*
 * The kernel makes no jump of a kprobe with such a handler. The code behind the jump reads a list
 * under RCU, and RCU does not watch the CPU yet. At an int3, it does.
 */
static void no_jump(struct kprobe *probe, struct pt_regs *regs, unsigned long flags)
{
}

static struct kprobe probe = {
	.symbol_name = "rlp_ftrace_target",
	.pre_handler = spin,
	.post_handler = no_jump,
};

static int __init rlp_starting_init(void)
{
	return register_kprobe(&probe);
}

static void __exit rlp_starting_exit(void)
{
	unregister_kprobe(&probe);
}

module_init(rlp_starting_init);
module_exit(rlp_starting_exit);
MODULE_DESCRIPTION("Selftest: hold a CPU in the handler while it is brought online");
MODULE_LICENSE("GPL");
