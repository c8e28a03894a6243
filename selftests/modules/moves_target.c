// SPDX-License-Identifier: GPL-2.0
/*
 * What the tests of the transition patch, as files in /proc/moves/
 *
 *   inside	write HOW: be in the patched function moves_inside() meanwhile
 *   outside	write HOW: the same in a function that is not patched
 *   pair	write STEPS HOW: a session of a caller and its callee, the pair
 *		that is patched together; read: the versions of both
 *   kthread	write NAME inside|outside|pair HOW: have a kthread do so until
 *		released
 *   ticks	write 1 or 0: sessions in hard and soft interrupts
 *   release	write: lets all that wait or spin go on
 *   waiting	read: how many wait or spin
 *   counts	read: calls of the pair, mixed pairs, then calls of each version
 *   mixed	read: what is known of the first mixed pairs
 *
 * HOW: none, resched, nap, int, kill, unint, spin, polite, once; see moves.h.
 */

#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/kprobes.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/prandom.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/timer.h>
#include <linux/wait.h>

#include "moves.h"

struct counts {
	u64 calls[MOVES_TAGS];
	u64 mixed;
};

static DEFINE_PER_CPU(struct counts, counts);

/*
 * The first mixed pairs: who called, and what was in memory then where the callee
 * begins. If that leads elsewhere than the call went, it is no patch that is at fault.
 */
struct witness {
	u64 ns;
	unsigned int caller, callee, seen, cpu, preempt, exit_state;
	pid_t pid;
	char comm[TASK_COMM_LEN];
	u8 text[16];
	bool complete;
};

static struct witness witnesses[32];
static atomic_t mixed_pairs;

static noinline void witness(unsigned int caller, unsigned int callee, unsigned int seen)
{
	unsigned int nr = atomic_inc_return(&mixed_pairs) - 1;
	struct witness *w = witnesses + nr;

	if (nr >= ARRAY_SIZE(witnesses))
		return;
	w->ns = ktime_get_mono_fast_ns();
	w->caller = caller;
	w->callee = callee;
	w->seen = seen;
	w->cpu = raw_smp_processor_id();
	w->preempt = preempt_count();
	w->exit_state = READ_ONCE(current->exit_state);
	w->pid = current->pid;
	memcpy(w->comm, current->comm, sizeof(w->comm));
	memcpy(w->text, (void *)moves_step, sizeof(w->text));
	/* Pairs with mixed_show(). */
	smp_store_release(&w->complete, true);
}

void moves_account(unsigned int caller, unsigned int step)
{
	unsigned int callee = step & 15, seen = step >> 4;

	if (caller != callee || seen != callee) {
		this_cpu_inc(counts.mixed);
		witness(caller, callee, seen);
	}
	this_cpu_inc(counts.calls[caller]);
}
EXPORT_SYMBOL_GPL(moves_account);

static DECLARE_WAIT_QUEUE_HEAD(released);
static unsigned long generation;
static atomic_t waiting;

/* Returns when it is woken, whoever does that. */
static void wait_woken_once(unsigned long mine)
{
	set_current_state(TASK_INTERRUPTIBLE);
	if (READ_ONCE(generation) == mine)
		schedule();
	__set_current_state(TASK_RUNNING);
}

static noinline int wait_for_release(enum moves_how how)
{
	unsigned long mine = READ_ONCE(generation);
	int ret = 0;

	atomic_inc(&waiting);
	switch (how) {
	case MOVES_INT:
		ret = wait_event_interruptible(released, READ_ONCE(generation) != mine);
		break;
	case MOVES_KILL:
		ret = wait_event_killable(released, READ_ONCE(generation) != mine);
		break;
	case MOVES_ONCE:
		wait_woken_once(mine);
		break;
	case MOVES_UNINT:
		wait_event(released, READ_ONCE(generation) != mine);
		break;
	case MOVES_SPIN:
		while (READ_ONCE(generation) == mine)
			cpu_relax();
		break;
	default:
		while (READ_ONCE(generation) == mine)
			cond_resched();
		break;
	}
	atomic_dec(&waiting);
	return ret;
}

int moves_pass(enum moves_how how, unsigned int nr)
{
	switch (how) {
	case MOVES_NONE:
		return 0;
	case MOVES_RESCHED:
		cond_resched();
		return 0;
	case MOVES_NAP:
		if (nr % 32 == 31)
			usleep_range(50, 200);
		return 0;
	default:
		return wait_for_release(how);
	}
}
EXPORT_SYMBOL_GPL(moves_pass);

MOVES_DEFINE_STEP(moves_step, 0)
EXPORT_SYMBOL_GPL(moves_step);

MOVES_DEFINE_SESSION(moves_session, 0)
EXPORT_SYMBOL_GPL(moves_session);

MOVES_DEFINE_INSIDE(moves_inside, 0)
EXPORT_SYMBOL_GPL(moves_inside);

static noinline int outside(enum moves_how how)
{
	int ret = moves_pass(how, 0);

	barrier();
	return ret;
}

static const char * const hows[] = {
	[MOVES_NONE] = "none", [MOVES_RESCHED] = "resched",
	[MOVES_NAP] = "nap", [MOVES_INT] = "int", [MOVES_KILL] = "kill",
	[MOVES_UNINT] = "unint", [MOVES_ONCE] = "once",
	[MOVES_SPIN] = "spin", [MOVES_POLITE] = "polite",
};

static int get_text(const char __user *buf, size_t len, char *text, size_t size)
{
	if (len >= size)
		return -EINVAL;
	if (copy_from_user(text, buf, len))
		return -EFAULT;
	text[len] = '\0';
	return 0;
}

/* Version 0, 1 or 2 is as good as the other here. */
static ssize_t done(int ret, size_t len)
{
	return ret < 0 ? ret : len;
}

static ssize_t inside_write(struct file *file, const char __user *buf,
			    size_t len, loff_t *pos)
{
	char text[16];
	int how, ret = get_text(buf, len, text, sizeof(text));

	if (ret)
		return ret;
	how = sysfs_match_string(hows, text);
	return how < 0 ? how : done(moves_inside(how), len);
}

static ssize_t outside_write(struct file *file, const char __user *buf,
			     size_t len, loff_t *pos)
{
	char text[16];
	int how, ret = get_text(buf, len, text, sizeof(text));

	if (ret)
		return ret;
	how = sysfs_match_string(hows, text);
	return how < 0 ? how : done(outside(how), len);
}

static ssize_t pair_write(struct file *file, const char __user *buf,
			  size_t len, loff_t *pos)
{
	char text[32], how_text[16];
	unsigned int steps;
	int how, ret = get_text(buf, len, text, sizeof(text));

	if (ret)
		return ret;
	if (sscanf(text, "%u %15s", &steps, how_text) != 2)
		return -EINVAL;
	how = sysfs_match_string(hows, how_text);
	return how < 0 ? how : done(moves_session(steps, how), len);
}

static int pair_show(struct seq_file *m, void *v)
{
	seq_printf(m, "%d %u\n", moves_session(0, MOVES_NONE), moves_step(0, 0) & 15);
	return 0;
}

static int pair_open(struct inode *inode, struct file *file)
{
	return single_open(file, pair_show, NULL);
}

struct job {
	char where[8];
	enum moves_how how;
};

/* A kthread that is released returns; kthread_stop() is never called. */
static int work(void *data)
{
	struct job job = *(struct job *)data;
	unsigned long mine = READ_ONCE(generation);

	kfree(data);
	if (!strcmp(job.where, "inside")) {
		while (READ_ONCE(generation) == mine) {
			moves_inside(job.how);
			/* Also asleep outside: there it is moved. */
			if (job.how == MOVES_ONCE)
				moves_pass(MOVES_NAP, 31);
		}
	} else if (!strcmp(job.where, "outside")) {
		outside(job.how);
	} else {
		atomic_inc(&waiting);
		while (READ_ONCE(generation) == mine) {
			moves_session(16, MOVES_NONE);
			moves_pass(job.how, 31);
		}
		atomic_dec(&waiting);
	}
	module_put_and_kthread_exit(0);
}

static ssize_t kthread_write(struct file *file, const char __user *buf,
			     size_t len, loff_t *pos)
{
	char text[48], name[16], how_text[16];
	struct task_struct *task;
	struct job *job;
	int how, ret = get_text(buf, len, text, sizeof(text));

	if (ret)
		return ret;
	job = kzalloc_obj(*job);
	if (!job)
		return -ENOMEM;
	if (sscanf(text, "%15s %7s %15s", name, job->where, how_text) != 3) {
		kfree(job);
		return -EINVAL;
	}
	how = sysfs_match_string(hows, how_text);
	if (how < 0) {
		kfree(job);
		return how;
	}
	job->how = how;
	__module_get(THIS_MODULE);
	task = kthread_run(work, job, "%s", name);
	if (IS_ERR(task)) {
		module_put(THIS_MODULE);
		kfree(job);
		return PTR_ERR(task);
	}
	return len;
}

static ssize_t release_write(struct file *file, const char __user *buf,
			     size_t len, loff_t *pos)
{
	WRITE_ONCE(generation, generation + 1);
	wake_up_all(&released);
	return len;
}

/* Interrupts borrow the universe of the task that they interrupt. */
static bool ticking;
static struct hrtimer hard;
static struct timer_list soft;
/* Without a lock: get_random_u32() takes one that sleeps on PREEMPT_RT. */
static struct rnd_state spread;

static enum hrtimer_restart hard_tick(struct hrtimer *timer)
{
	moves_session(8, MOVES_NONE);
	hrtimer_forward_now(timer, us_to_ktime(500 + prandom_u32_state(&spread) % 2000));
	return READ_ONCE(ticking) ? HRTIMER_RESTART : HRTIMER_NORESTART;
}

static void soft_tick(struct timer_list *timer)
{
	moves_session(64, MOVES_NONE);
	if (READ_ONCE(ticking))
		mod_timer(timer, jiffies + 1);
}

static void set_ticking(bool on)
{
	if (on == ticking)
		return;
	WRITE_ONCE(ticking, on);
	if (on) {
		/* On this CPU, and they stay there. */
		preempt_disable();
		hrtimer_start(&hard, us_to_ktime(1000), HRTIMER_MODE_REL_PINNED_HARD);
		mod_timer(&soft, jiffies + 1);
		preempt_enable();
	} else {
		hrtimer_cancel(&hard);
		timer_delete_sync(&soft);
	}
}

static ssize_t ticks_write(struct file *file, const char __user *buf,
			   size_t len, loff_t *pos)
{
	bool on;
	int ret = kstrtobool_from_user(buf, len, &on);

	if (ret)
		return ret;
	set_ticking(on);
	return len;
}

/*
 * A session of each task that is about to die, most of which have left the task list by
 * then. As in an interrupt, nothing else runs on the CPU until it is over.
 */
static unsigned int last_words;
module_param(last_words, uint, 0444);
MODULE_PARM_DESC(last_words, "How many calls each task makes that exits (default: none)");

static int dying(struct kprobe *probe, struct pt_regs *regs)
{
	moves_session(last_words, MOVES_NONE);
	return 0;
}

static struct kprobe do_task_dead_probe = {
	.symbol_name = "do_task_dead",
	.pre_handler = dying,
};

static int waiting_show(struct seq_file *m, void *v)
{
	seq_printf(m, "%d\n", atomic_read(&waiting));
	return 0;
}

static int counts_show(struct seq_file *m, void *v)
{
	u64 calls[MOVES_TAGS] = {}, mixed = 0, all = 0;
	int cpu, tag;

	for_each_possible_cpu(cpu) {
		const struct counts *here = per_cpu_ptr(&counts, cpu);

		mixed += here->mixed;
		for (tag = 0; tag < MOVES_TAGS; tag++)
			calls[tag] += here->calls[tag];
	}
	for (tag = 0; tag < MOVES_TAGS; tag++)
		all += calls[tag];
	seq_printf(m, "%llu %llu", all, mixed);
	for (tag = 0; tag < MOVES_TAGS; tag++)
		seq_printf(m, " %llu", calls[tag]);
	seq_putc(m, '\n');
	return 0;
}

static int mixed_show(struct seq_file *m, void *v)
{
	seq_printf(m, "moves_step is at %px\n", moves_step);
	for (const struct witness *w = witnesses; w < witnesses + ARRAY_SIZE(witnesses); w++) {
		if (!smp_load_acquire(&w->complete))
			continue;
		seq_printf(m, "[%llu.%06llu] %u called %u, which saw %u: CPU %u, %s/%d, preempt_count %x, exit_state %x; text %*ph\n",
			   w->ns / NSEC_PER_SEC, w->ns % NSEC_PER_SEC / 1000,
			   w->caller, w->callee, w->seen, w->cpu, w->comm, w->pid,
			   w->preempt, w->exit_state, (int)sizeof(w->text), w->text);
	}
	return 0;
}

#define MOVES_WRITE_OPS(name)						\
static const struct proc_ops name##_ops = {				\
	.proc_write	= name##_write,					\
	.proc_lseek	= noop_llseek,					\
}

MOVES_WRITE_OPS(inside);
MOVES_WRITE_OPS(outside);
MOVES_WRITE_OPS(kthread);
MOVES_WRITE_OPS(release);
MOVES_WRITE_OPS(ticks);

static const struct proc_ops pair_ops = {
	.proc_open	= pair_open,
	.proc_read	= seq_read,
	.proc_lseek	= noop_llseek,
	.proc_release	= single_release,
	.proc_write	= pair_write,
};

static int __init target_init(void)
{
	struct proc_dir_entry *dir;
	int ret = last_words ? register_kprobe(&do_task_dead_probe) : 0;

	if (ret)
		return ret;
	dir = proc_mkdir("moves", NULL);
	if (!dir)
		goto no_memory;
	prandom_seed_state(&spread, 1);
	hrtimer_setup(&hard, hard_tick, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_HARD);
	timer_setup(&soft, soft_tick, TIMER_PINNED);
	if (proc_create("inside", 0222, dir, &inside_ops) &&
	    proc_create("outside", 0222, dir, &outside_ops) &&
	    proc_create("pair", 0666, dir, &pair_ops) &&
	    proc_create("kthread", 0200, dir, &kthread_ops) &&
	    proc_create("release", 0222, dir, &release_ops) &&
	    proc_create("ticks", 0200, dir, &ticks_ops) &&
	    proc_create_single("waiting", 0444, dir, waiting_show) &&
	    proc_create_single("counts", 0444, dir, counts_show) &&
	    proc_create_single("mixed", 0400, dir, mixed_show))
		return 0;

	proc_remove(dir);
no_memory:
	if (last_words)
		unregister_kprobe(&do_task_dead_probe);
	return -ENOMEM;
}

static void __exit target_exit(void)
{
	set_ticking(false);
	if (last_words)
		unregister_kprobe(&do_task_dead_probe);
	remove_proc_subtree("moves", NULL);
}

module_init(target_init);
module_exit(target_exit);
MODULE_DESCRIPTION("Transition tests: what is patched");
MODULE_LICENSE("GPL");
