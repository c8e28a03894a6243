// SPDX-License-Identifier: GPL-2.0
/*
 * The target module of the transition tests. Two of its functions are patched together
 * and are called the pair: the caller moves_session() and its callee moves_step(). A call
 * in which their versions differ is a mixed pair.
 *
 * Files in /proc/moves/:
 *
 *   inside	write HOW: pass time in the patched function moves_inside()
 *   outside	write HOW: pass time in a function that is not patched
 *   pair	write STEPS HOW: call moves_session(), which calls moves_step()
 *		STEPS times; read: the versions of caller and callee
 *   kthread	write NAME inside|outside|pair HOW: start a kthread that does
 *		the same until it is released
 *   ticks	write 1 or 0: start or stop sessions in hard and soft interrupts
 *   release	write: release all tasks that wait or spin
 *   waiting	read: the number of tasks that wait or spin
 *   counts	read: the number of calls of the pair, of mixed pairs, and of
 *		calls by each version
 *   mixed	read: details of the first mixed pairs
 *   children	read: for each version, how many children of the last parent made
 *		their first call to it
 *
 * HOW is the way to pass time: none, resched, nap, int, kill, unint, spin, polite,
 * once, fork or crowd; see moves.h.
 */

#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/kprobes.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/prandom.h>
#include <linux/seq_file.h>
#include <linux/sched/vhost_task.h>
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
 * The details of a mixed pair. @seen is the caller's version according to the callee's
 * arguments. @text holds the first bytes of moves_step() at the time of the call. If the
 * called function is not the one that these bytes lead to, the CPU has run a stale copy of
 * the text, and no patch is at fault.
 */
struct mixed_pair {
	u64 ns;
	unsigned int caller, callee, seen, cpu, preempt, exit_state;
	pid_t pid;
	char comm[TASK_COMM_LEN];
	u8 text[16];
	bool complete;
};

static struct mixed_pair mixed_pairs[32];
static atomic_t nr_mixed_pairs;

static noinline void record_mixed_pair(unsigned int caller, unsigned int callee, unsigned int seen)
{
	unsigned int nr = atomic_inc_return(&nr_mixed_pairs) - 1;
	struct mixed_pair *pair = mixed_pairs + nr;

	if (nr >= ARRAY_SIZE(mixed_pairs))
		return;
	pair->ns = ktime_get_mono_fast_ns();
	pair->caller = caller;
	pair->callee = callee;
	pair->seen = seen;
	pair->cpu = raw_smp_processor_id();
	pair->preempt = preempt_count();
	pair->exit_state = READ_ONCE(current->exit_state);
	pair->pid = current->pid;
	memcpy(pair->comm, current->comm, sizeof(pair->comm));
	memcpy(pair->text, (void *)moves_step, sizeof(pair->text));
	/* Pairs with smp_load_acquire() in mixed_show(). */
	smp_store_release(&pair->complete, true);
}

void moves_count_call(unsigned int caller, unsigned int step)
{
	unsigned int callee = step & 15, seen = step >> 4;

	if (caller != callee || seen != callee) {
		this_cpu_inc(counts.mixed);
		record_mixed_pair(caller, callee, seen);
	}
	this_cpu_inc(counts.calls[caller]);
}
EXPORT_SYMBOL_GPL(moves_count_call);

static DECLARE_WAIT_QUEUE_HEAD(released);
/* Incremented by each release. */
static unsigned long generation;
static atomic_t waiting;

/* Sleeps once, and returns after any wakeup. */
static void wait_for_wakeup(unsigned long start)
{
	set_current_state(TASK_INTERRUPTIBLE);
	if (READ_ONCE(generation) == start)
		schedule();
	__set_current_state(TASK_RUNNING);
}

static noinline int wait_for_release(enum moves_how how)
{
	unsigned long start = READ_ONCE(generation);
	int ret = 0;

	atomic_inc(&waiting);
	switch (how) {
	case MOVES_INT:
		ret = wait_event_interruptible(released, READ_ONCE(generation) != start);
		break;
	case MOVES_KILL:
		ret = wait_event_killable(released, READ_ONCE(generation) != start);
		break;
	case MOVES_ONCE:
		wait_for_wakeup(start);
		break;
	case MOVES_UNINT:
		wait_event(released, READ_ONCE(generation) != start);
		break;
	case MOVES_SPIN:
		while (READ_ONCE(generation) == start)
			cpu_relax();
		break;
	default:
		while (READ_ONCE(generation) == start)
			cond_resched();
		break;
	}
	atomic_dec(&waiting);
	return ret;
}

/*
 * The number of children that a parent makes, and for each version the number of children whose
 * first call reached it.
 */
static unsigned int children = 20;
module_param(children, uint, 0644);
MODULE_PARM_DESC(children, "Number of children that a parent makes (default: 20)");

static unsigned int child_pause_us;
module_param(child_pause_us, uint, 0644);
MODULE_PARM_DESC(child_pause_us, "Time between two children of a crowd (default: 0)");

static atomic_t first_calls[MOVES_TAGS];

#ifdef CONFIG_VHOST_TASK
/*
 * Children that the kernel itself makes of the current task, as it makes workers of vhost and
 * io_uring: copy_process() is called below the patched function that is on the parent's stack.
 */
struct child {
	struct vhost_task *task;
	struct completion called;
	bool ran;
};

/* vhost_task_fn() calls this until the child is stopped, and sleeps after each call. */
static bool run_child(void *data)
{
	struct child *child = data;
	int tag;

	if (child->ran)
		return false;
	child->ran = true;
	tag = moves_session(1, MOVES_NONE);
	if (tag >= 0 && tag < MOVES_TAGS)
		atomic_inc(&first_calls[tag]);
	complete(&child->called);
	return false;
}

static void kill_child(void *data)
{
}

static int start_child(struct child *child)
{
	init_completion(&child->called);
	child->task = vhost_task_create(run_child, kill_child, child, "moves-child");
	if (IS_ERR(child->task))
		return PTR_ERR(child->task);
	vhost_task_start(child->task);
	return 0;
}

static void stop_child(struct child *child)
{
	wait_for_completion(&child->called);
	vhost_task_stop(child->task);
}

static noinline int make_children(enum moves_how how)
{
	unsigned int made, stopped = 0, number = READ_ONCE(children);
	struct child *all = kvcalloc(number, sizeof(*all), GFP_KERNEL);
	int ret = 0;

	if (!all)
		return -ENOMEM;
	for (int tag = 0; tag < MOVES_TAGS; tag++)
		atomic_set(&first_calls[tag], 0);
	for (made = 0; made < number; made++) {
		ret = start_child(&all[made]);
		if (ret)
			break;
		if (how == MOVES_FORK)
			stop_child(&all[stopped++]);
		else if (child_pause_us)
			usleep_range(child_pause_us, 2 * child_pause_us);
	}
	if (how == MOVES_CROWD && !ret) {
		for (unsigned int nr = 0; nr < made; nr++)
			wait_for_completion(&all[nr].called);
		wait_for_release(MOVES_UNINT);
		for (unsigned int nr = 0; nr < made; nr++)
			complete(&all[nr].called);
	}
	while (stopped < made)
		stop_child(&all[stopped++]);
	kvfree(all);
	return ret;
}
#else
static int make_children(enum moves_how how)
{
	return -EOPNOTSUPP;
}
#endif

int moves_pass_time(enum moves_how how, unsigned int nr)
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
	case MOVES_FORK:
	case MOVES_CROWD:
		wait_for_release(MOVES_UNINT);
		return make_children(how);
	default:
		return wait_for_release(how);
	}
}
EXPORT_SYMBOL_GPL(moves_pass_time);

MOVES_DEFINE_STEP(moves_step, 0)
EXPORT_SYMBOL_GPL(moves_step);

MOVES_DEFINE_SESSION(moves_session, 0)
EXPORT_SYMBOL_GPL(moves_session);

MOVES_DEFINE_INSIDE(moves_inside, 0)
EXPORT_SYMBOL_GPL(moves_inside);

static noinline int outside(enum moves_how how)
{
	int ret = moves_pass_time(how, 0);

	barrier();
	return ret;
}

static const char * const how_names[] = {
	[MOVES_NONE] = "none", [MOVES_RESCHED] = "resched",
	[MOVES_NAP] = "nap", [MOVES_INT] = "int", [MOVES_KILL] = "kill",
	[MOVES_UNINT] = "unint", [MOVES_ONCE] = "once",
	[MOVES_SPIN] = "spin", [MOVES_POLITE] = "polite",
	[MOVES_FORK] = "fork", [MOVES_CROWD] = "crowd",
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

/* @ret is a negative error, or the version that was called: any version is a success. */
static ssize_t write_result(int ret, size_t len)
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
	how = sysfs_match_string(how_names, text);
	return how < 0 ? how : write_result(moves_inside(how), len);
}

static ssize_t outside_write(struct file *file, const char __user *buf,
			     size_t len, loff_t *pos)
{
	char text[16];
	int how, ret = get_text(buf, len, text, sizeof(text));

	if (ret)
		return ret;
	how = sysfs_match_string(how_names, text);
	return how < 0 ? how : write_result(outside(how), len);
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
	how = sysfs_match_string(how_names, how_text);
	return how < 0 ? how : write_result(moves_session(steps, how), len);
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

/* The thread exits when it is released. kthread_stop() is never called. */
static int run_job(void *data)
{
	struct job job = *(struct job *)data;
	unsigned long start = READ_ONCE(generation);

	kfree(data);
	if (!strcmp(job.where, "inside")) {
		while (READ_ONCE(generation) == start) {
			moves_inside(job.how);
			/*
			 * Sleep outside of the function too: there the task is switched. A timer
			 * that expires before the task has left the CPU would not let it sleep.
			 */
			if (job.how == MOVES_ONCE)
				msleep(20);
		}
	} else if (!strcmp(job.where, "outside")) {
		outside(job.how);
	} else {
		atomic_inc(&waiting);
		while (READ_ONCE(generation) == start) {
			moves_session(16, MOVES_NONE);
			moves_pass_time(job.how, 31);
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
	how = sysfs_match_string(how_names, how_text);
	if (how < 0) {
		kfree(job);
		return how;
	}
	job->how = how;
	__module_get(THIS_MODULE);
	task = kthread_run(run_job, job, "%s", name);
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

/* Interrupts use the universe of the task that they interrupt. */
static bool ticking;
static struct hrtimer hard_timer;
static struct timer_list soft_timer;
/* get_random_u32() takes a lock that sleeps on PREEMPT_RT. This generator takes none. */
static struct rnd_state tick_rnd;

static enum hrtimer_restart hard_tick(struct hrtimer *timer)
{
	moves_session(8, MOVES_NONE);
	hrtimer_forward_now(timer, us_to_ktime(500 + prandom_u32_state(&tick_rnd) % 2000));
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
		/* Start both timers on this CPU. They are pinned to it. */
		preempt_disable();
		hrtimer_start(&hard_timer, us_to_ktime(1000), HRTIMER_MODE_REL_PINNED_HARD);
		mod_timer(&soft_timer, jiffies + 1);
		preempt_enable();
	} else {
		hrtimer_cancel(&hard_timer);
		timer_delete_sync(&soft_timer);
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
 * If calls_at_exit is not 0, each exiting task runs a session of this many calls as its last
 * action. Most of these tasks have left the task list by then. As in an interrupt, nothing
 * else runs on the CPU until the session ends.
 */
static unsigned int calls_at_exit;
module_param(calls_at_exit, uint, 0444);
MODULE_PARM_DESC(calls_at_exit, "Number of calls that each exiting task makes (default: 0)");

static int on_task_dead(struct kprobe *probe, struct pt_regs *regs)
{
	moves_session(calls_at_exit, MOVES_NONE);
	return 0;
}

static struct kprobe do_task_dead_probe = {
	.symbol_name = "do_task_dead",
	.pre_handler = on_task_dead,
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
	for (int i = 0; i < ARRAY_SIZE(mixed_pairs); i++) {
		const struct mixed_pair *pair = &mixed_pairs[i];

		/* Pairs with smp_store_release() in record_mixed_pair(). */
		if (!smp_load_acquire(&pair->complete))
			continue;
		seq_printf(m, "[%llu.%06llu] %u called %u, which saw %u: CPU %u, %s/%d, preempt_count %x, exit_state %x; text %*ph\n",
			   pair->ns / NSEC_PER_SEC, pair->ns % NSEC_PER_SEC / 1000,
			   pair->caller, pair->callee, pair->seen, pair->cpu, pair->comm, pair->pid,
			   pair->preempt, pair->exit_state, (int)sizeof(pair->text), pair->text);
	}
	return 0;
}

static int children_show(struct seq_file *m, void *v)
{
	for (int tag = 0; tag < MOVES_TAGS; tag++)
		seq_printf(m, "%s%d", tag ? " " : "", atomic_read(&first_calls[tag]));
	seq_putc(m, '\n');
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
	int ret = calls_at_exit ? register_kprobe(&do_task_dead_probe) : 0;

	if (ret)
		return ret;
	dir = proc_mkdir("moves", NULL);
	if (!dir)
		goto no_memory;
	prandom_seed_state(&tick_rnd, 1);
	hrtimer_setup(&hard_timer, hard_tick, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_HARD);
	timer_setup(&soft_timer, soft_tick, TIMER_PINNED);
	if (proc_create("inside", 0222, dir, &inside_ops) &&
	    proc_create("outside", 0222, dir, &outside_ops) &&
	    proc_create("pair", 0666, dir, &pair_ops) &&
	    proc_create("kthread", 0200, dir, &kthread_ops) &&
	    proc_create("release", 0222, dir, &release_ops) &&
	    proc_create("ticks", 0200, dir, &ticks_ops) &&
	    proc_create_single("waiting", 0444, dir, waiting_show) &&
	    proc_create_single("counts", 0444, dir, counts_show) &&
	    (!IS_ENABLED(CONFIG_VHOST_TASK) ||
	     proc_create_single("children", 0400, dir, children_show)) &&
	    proc_create_single("mixed", 0400, dir, mixed_show))
		return 0;

	proc_remove(dir);
no_memory:
	if (calls_at_exit)
		unregister_kprobe(&do_task_dead_probe);
	return -ENOMEM;
}

static void __exit target_exit(void)
{
	set_ticking(false);
	if (calls_at_exit)
		unregister_kprobe(&do_task_dead_probe);
	remove_proc_subtree("moves", NULL);
}

module_init(target_init);
module_exit(target_exit);
MODULE_DESCRIPTION("Transition tests: the target module");
MODULE_LICENSE("GPL");
