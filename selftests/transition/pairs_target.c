// SPDX-License-Identifier: GPL-2.0
/*
 * Calls pairs of patched functions, from a caller that is not patched. The stack does not
 * show that the two calls of a pair belong together. Only the context of the caller keeps
 * a task from being switched between them. Each CPU has one caller in each context:
 *
 *	task		a kthread
 *	  preempt		with preemption off
 *	  spinlock, raw		with a spinlock held, with a raw spinlock held
 *	  bh, irq		with soft interrupts off, with interrupts off
 *	  rcu			in an RCU read side
 *	  plain			in none of these
 *	work		a work item that does not sleep
 *	timer, tasklet, hrtimer-soft
 *			soft interrupts
 *	hrtimer-hard	a hard interrupt
 *	idle		the idle loop: one call before a sleep, and one after it
 *
 * /proc/pairs has a line for each context: its name, whether it promises that its pairs
 * are never mixed, the number of pairs, and the number of mixed pairs. A context that the
 * kernel can preempt promises nothing: a task that is preempted between the two calls may
 * be switched there, as with in-tree livepatch.
 *
 * A task that writes 1 to /proc/pairs sleeps in a patched function until 0 is written. The
 * line "holding" has the number of these tasks.
 */
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/interrupt.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/timer.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <trace/events/power.h>

#include "pairs.h"

static unsigned int spin_us = 200;
module_param(spin_us, uint, 0444);
MODULE_PARM_DESC(spin_us, "Microseconds between the two calls of a pair (default: 200)");

enum context {
	IN_PREEMPT, IN_SPINLOCK, IN_RAW, IN_BH, IN_IRQ, IN_RCU, IN_PLAIN, IN_WORK, IN_TIMER,
	IN_TASKLET, IN_HRTIMER_SOFT, IN_HRTIMER_HARD, IN_IDLE, CONTEXTS
};

static const struct {
	const char *name;
	bool promised;
} contexts[] = {
	[IN_PREEMPT] = { "preempt", true },
	[IN_SPINLOCK] = { "spinlock", !IS_ENABLED(CONFIG_PREEMPT_RT) },
	[IN_RAW] = { "raw", true },
	[IN_BH] = { "bh", !IS_ENABLED(CONFIG_PREEMPT_RT) },
	[IN_IRQ] = { "irq", true },
	[IN_RCU] = { "rcu", !IS_ENABLED(CONFIG_PREEMPT_RCU) },
	[IN_PLAIN] = { "plain", !IS_ENABLED(CONFIG_PREEMPTION) },
	[IN_WORK] = { "work", !IS_ENABLED(CONFIG_PREEMPTION) },
	[IN_TIMER] = { "timer", !IS_ENABLED(CONFIG_PREEMPT_RT) },
	[IN_TASKLET] = { "tasklet", !IS_ENABLED(CONFIG_PREEMPT_RT) },
	[IN_HRTIMER_SOFT] = { "hrtimer-soft", !IS_ENABLED(CONFIG_PREEMPT_RT) },
	[IN_HRTIMER_HARD] = { "hrtimer-hard", true },
	[IN_IDLE] = { "idle", true },
};

struct callers {
	struct task_struct *task;
	struct delayed_work work;
	struct timer_list timer;
	struct tasklet_struct tasklet;
	struct hrtimer soft, hard;
	spinlock_t lock;
	raw_spinlock_t raw;
	/* The result of the idle loop's first call, plus one. 0: no pair has begun. */
	unsigned int slept;
};

static DEFINE_PER_CPU(struct callers, callers);
static atomic_t pairs[CONTEXTS], mixed[CONTEXTS];
static bool stopping;

PAIRS_DEFINE(pairs_first, 0)
PAIRS_DEFINE(pairs_second, 0)
PAIRS_DEFINE_HOLD(pairs_hold)

static DECLARE_WAIT_QUEUE_HEAD(released);
static unsigned int generation;
static atomic_t holding;

void pairs_sleep(void)
{
	unsigned int mine = READ_ONCE(generation);

	atomic_inc(&holding);
	/* The sleep may be long. An idle sleep is never reported as a hung task. */
	wait_event_idle(released, READ_ONCE(generation) != mine);
	atomic_dec(&holding);
}
EXPORT_SYMBOL_GPL(pairs_sleep);

static void account(enum context context, unsigned int first, unsigned int second)
{
	atomic_inc(&pairs[context]);
	if (first != second)
		atomic_inc(&mixed[context]);
}

static void pair(enum context context)
{
	unsigned int first = pairs_first();

	udelay(context == IN_HRTIMER_HARD || context == IN_IRQ ? spin_us / 4 : spin_us);
	account(context, first, pairs_second());
}

static void pairs_of_a_task(struct callers *here)
{
	unsigned long flags;

	preempt_disable();
	pair(IN_PREEMPT);
	preempt_enable();

	spin_lock(&here->lock);
	pair(IN_SPINLOCK);
	spin_unlock(&here->lock);

	raw_spin_lock(&here->raw);
	pair(IN_RAW);
	raw_spin_unlock(&here->raw);

	local_bh_disable();
	pair(IN_BH);
	local_bh_enable();

	local_irq_save(flags);
	pair(IN_IRQ);
	local_irq_restore(flags);

	rcu_read_lock();
	pair(IN_RCU);
	rcu_read_unlock();

	pair(IN_PLAIN);
}

static void work(struct work_struct *work)
{
	pair(IN_WORK);
	if (!READ_ONCE(stopping))
		schedule_delayed_work_on(raw_smp_processor_id(), to_delayed_work(work), 2);
}

static void timer(struct timer_list *timer)
{
	struct callers *here = timer_container_of(here, timer, timer);

	pair(IN_TIMER);
	tasklet_schedule(&here->tasklet);
	if (!READ_ONCE(stopping))
		mod_timer(timer, jiffies + 2);
}

static void tasklet(struct tasklet_struct *tasklet)
{
	pair(IN_TASKLET);
}

static enum hrtimer_restart rearm(struct hrtimer *timer, unsigned int us)
{
	hrtimer_forward_now(timer, us_to_ktime(us));
	return READ_ONCE(stopping) ? HRTIMER_NORESTART : HRTIMER_RESTART;
}

static enum hrtimer_restart soft(struct hrtimer *timer)
{
	pair(IN_HRTIMER_SOFT);
	return rearm(timer, 7000);
}

static enum hrtimer_restart hard(struct hrtimer *timer)
{
	pair(IN_HRTIMER_HARD);
	return rearm(timer, 3000);
}

/* The idle loop calls this before and after each sleep. */
static void idle(void *data, unsigned int state, unsigned int cpu)
{
	struct callers *here = per_cpu_ptr(&callers, cpu);

	if (state != (u32)PWR_EVENT_EXIT) {
		here->slept = pairs_first() + 1;
	} else if (here->slept) {
		account(IN_IDLE, here->slept - 1, pairs_second());
		here->slept = 0;
	}
}

static int run_caller(void *data)
{
	struct callers *here = this_cpu_ptr(&callers);

	/* The timers are pinned: they stay on the CPU that starts them. */
	hrtimer_start(&here->hard, us_to_ktime(1000), HRTIMER_MODE_REL_PINNED_HARD);
	hrtimer_start(&here->soft, us_to_ktime(1000), HRTIMER_MODE_REL_PINNED_SOFT);
	mod_timer(&here->timer, jiffies + 1);
	schedule_delayed_work_on(raw_smp_processor_id(), &here->work, 1);
	set_user_nice(current, 19);
	while (!kthread_should_stop()) {
		pairs_of_a_task(here);
		/*
		 * The sleep is freezable: otherwise in-tree livepatch would not switch the task
		 * as it falls asleep.
		 */
		__set_current_state(TASK_IDLE | TASK_FREEZABLE);
		schedule_timeout(1);
	}
	return 0;
}

static void stop(void)
{
	int cpu;

	unregister_trace_cpu_idle(idle, NULL);
	tracepoint_synchronize_unregister();
	WRITE_ONCE(stopping, true);
	for_each_possible_cpu(cpu) {
		struct callers *there = per_cpu_ptr(&callers, cpu);

		if (!there->task)
			continue;
		kthread_stop(there->task);
		hrtimer_cancel(&there->hard);
		hrtimer_cancel(&there->soft);
		timer_delete_sync(&there->timer);
		tasklet_kill(&there->tasklet);
		cancel_delayed_work_sync(&there->work);
	}
}

static int start(int cpu)
{
	struct callers *there = per_cpu_ptr(&callers, cpu);
	struct task_struct *task;

	spin_lock_init(&there->lock);
	raw_spin_lock_init(&there->raw);
	INIT_DELAYED_WORK(&there->work, work);
	timer_setup(&there->timer, timer, TIMER_PINNED);
	tasklet_setup(&there->tasklet, tasklet);
	hrtimer_setup(&there->soft, soft, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_SOFT);
	hrtimer_setup(&there->hard, hard, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_HARD);
	task = kthread_create_on_cpu(run_caller, NULL, cpu, "pairs/%u");
	if (IS_ERR(task))
		return PTR_ERR(task);
	there->task = task;
	wake_up_process(task);
	return 0;
}

static int pairs_show(struct seq_file *m, void *v)
{
	seq_printf(m, "holding %d\n", atomic_read(&holding));
	for (int i = 0; i < CONTEXTS; i++)
		seq_printf(m, "%s %d %d %d\n", contexts[i].name, contexts[i].promised,
			   atomic_read(&pairs[i]), atomic_read(&mixed[i]));
	return 0;
}

static int pairs_open(struct inode *inode, struct file *file)
{
	return single_open(file, pairs_show, NULL);
}

static ssize_t pairs_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	bool hold;
	int ret = kstrtobool_from_user(buf, len, &hold);

	if (ret)
		return ret;
	if (hold) {
		pairs_hold();
	} else {
		WRITE_ONCE(generation, generation + 1);
		wake_up_all(&released);
	}
	return len;
}

static const struct proc_ops pairs_ops = {
	.proc_open	= pairs_open,
	.proc_read	= seq_read,
	.proc_lseek	= seq_lseek,
	.proc_release	= single_release,
	.proc_write	= pairs_write,
};

static int __init target_init(void)
{
	int cpu, ret = register_trace_cpu_idle(idle, NULL);

	if (ret)
		return ret;
	cpus_read_lock();
	for_each_online_cpu(cpu) {
		ret = start(cpu);
		if (ret)
			break;
	}
	cpus_read_unlock();
	if (!ret && !proc_create("pairs", 0644, NULL, &pairs_ops))
		ret = -ENOMEM;
	if (ret)
		stop();
	return ret;
}

static void __exit target_exit(void)
{
	remove_proc_entry("pairs", NULL);
	stop();
}

module_init(target_init);
module_exit(target_exit);
MODULE_DESCRIPTION("Transition tests: pairs of calls in contexts of the kernel");
MODULE_LICENSE("GPL");
