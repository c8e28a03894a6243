// SPDX-License-Identifier: GPL-2.0
/* on_each_cpu_mask() is inline; local_irq_save() and preempt_count() are macros or inline. */
#include <linux/irqflags.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/smp.h>
#include <linux/stop_machine.h>

#include "gate.h"
#include "helpers.h"

unsigned long notrace rlp_irq_save(void)
{
	unsigned long flags;

	local_irq_save(flags);
	return flags;
}

void notrace rlp_irq_restore(unsigned long flags)
{
	local_irq_restore(flags);
}

/* Context: process context, interrupts on. Waits until each online CPU of @cpus has run @fn. */
void rlp_on_cpus(const struct cpumask *cpus, void (*fn)(void *info), void *info)
{
	on_each_cpu_mask(cpus, fn, info, true);
}

static bool notrace is_idle_here(void)
{
	return current == rlp_idle_task(raw_smp_processor_id());
}

/*
 * Check whether the kernel could have switched to another task at the instruction that
 * rlp_on_cpus() has interrupted. If it could, the preemption count is that of the
 * interrupt alone: preemption, soft interrupts and hard interrupts were on at that
 * instruction. On PREEMPT_RT a soft interrupt can be preempted, and is not in the count.
 * This function returns false in a soft interrupt there, too. On a kernel that does not
 * preempt tasks in the kernel, the count says nothing, and this function returns false.
 *
 * @caller called rlp_on_cpus(), which is allowed only where a task may sleep. On
 * the CPU of @caller, @fn is called without an interrupt.
 *
 * The idle task always has preemption off. It may be switched at one place of its loop:
 * do_idle() calls flush_smp_call_function_queue() after tick_nohz_idle_exit(), directly
 * before schedule_idle(). At that place @fn is called without an interrupt, too.
 *
 * Context: @fn of rlp_on_cpus().
 */
bool notrace rlp_is_preemptible_here(const struct task_struct *caller)
{
	if (!in_hardirq())
		return current == caller || is_idle_here();
	return preempt_count() == HARDIRQ_OFFSET && !in_serving_softirq() &&
	       preempt_model_preemptible();
}

/* The work that makes a CPU reschedule, and whether its stopper has yet to run the work. */
struct resched {
	struct cpu_stop_work work;
	unsigned long pending;
};

static DEFINE_PER_CPU(struct resched, rescheds);

/* Only clears the pending bit: the switch to the stopper is all that is needed. */
static int clear_pending(void *pending)
{
	clear_bit_unlock(0, pending);
	return 0;
}

/*
 * Make this CPU switch to its stopper as soon as the kernel may preempt the current
 * task, or the idle task leaves its loop.
 *
 * Context: @fn of rlp_on_cpus(), called with the CPU hotplug lock held, so that the
 * stopper of this CPU is enabled. The gate is open: otherwise the stopper is not requested, and
 * the bit stays set.
 */
void notrace rlp_resched_here(void)
{
	struct resched *here = this_cpu_ptr(&rescheds);

	if (!test_and_set_bit_lock(0, &here->pending))
		rlp_stop_one_cpu_nowait(raw_smp_processor_id(), clear_pending, &here->pending,
					&here->work);
}

/* Context: any. Whether the stopper of @cpu has yet to run the work of rlp_resched_here(). */
bool rlp_resched_is_pending(int cpu)
{
	return test_bit_acquire(0, &per_cpu_ptr(&rescheds, cpu)->pending);
}
