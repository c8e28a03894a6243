// SPDX-License-Identifier: GPL-2.0
/* Walking tasks, and members of a task that are accessed by inline functions. */
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/spinlock.h>
#include <linux/tracepoint.h>
#include <trace/events/sched.h>
#include <trace/events/syscalls.h>
#include <trace/events/task.h>

#include "gate.h"
#include "helpers.h"

/* The lock is not exported. With PROVE_RCU_LIST the macros that walk tasks use it as well. */
#define tasklist_lock (*(rwlock_t *)rlp_gate_addr_tasklist_lock)

/* Context: may sleep on PREEMPT_RT. */
void notrace rlp_tasklist_read_lock(void)
{
	read_lock(&tasklist_lock);
}

void notrace rlp_tasklist_read_unlock(void)
{
	read_unlock(&tasklist_lock);
}

/*
 * Call @fn for every visible task, threads included, until it returns false. Idle tasks are
 * not visible. Context: tasklist_lock or RCU read lock held.
 */
void notrace rlp_visit_tasks(bool (*fn)(void *, struct task_struct *),
			     void *cookie)
{
	struct task_struct *process, *task;

	for_each_process_thread(process, task) {
		if (!fn(cookie, task))
			return;
	}
}

/* Check whether a task has left its CPU for the last time, see do_task_dead(). */
bool notrace rlp_task_is_dead(struct task_struct *task)
{
	/*
	 * Pairs with the release of on_cpu in finish_task(): all that the task did on the CPU is
	 * visible.
	 */
	return READ_ONCE(task->__state) == TASK_DEAD && !smp_load_acquire(&task->on_cpu);
}

/*
 * Check whether a task is past exit_notify(). exit_notify() sets exit_state with
 * tasklist_lock held for writing. So a caller that holds the lock, or is the task, needs
 * no barrier.
 */
bool notrace rlp_task_is_exiting(struct task_struct *task)
{
	return READ_ONCE(task->exit_state);
}

/* Return: the CPU if current is exiting, else -1. Context: any, preemption off. */
int notrace rlp_exiting_on(void)
{
	return rlp_task_is_exiting(current) ? raw_smp_processor_id() : -1;
}

/*
 * Context: @fn of rlp_task_call_func(), which keeps a task from leaving its CPU.
 * Return: the CPU on which the task runs, or -1 if it is off the CPU.
 */
int notrace rlp_task_runs_on(struct task_struct *task)
{
	/*
	 * Pairs with the release in finish_task(): if the task is off its CPU, all that it has
	 * written to its stack is visible.
	 */
	return smp_load_acquire(&task->on_cpu) ? task_cpu(task) : -1;
}

bool notrace rlp_task_is_kthread(struct task_struct *task)
{
	return task->flags & PF_KTHREAD;
}

/* @buf: TASK_COMM_LEN bytes. */
void notrace rlp_task_comm(struct task_struct *task, char *buf)
{
	strscpy(buf, task->comm, TASK_COMM_LEN);
}

/**
 * rlp_task_nudge() - make a task pass a safe point soon
 * @task: the task
 *
 * Wakes a kthread. Makes any other task leave its interruptible sleep and its system call,
 * as set_notify_signal() does. That function is inline, and calls a function that is not
 * exported.
 *
 * No task_work is used: its memory would have to stay until the task runs, which may be
 * never. A system call that is restarted goes to sleep again at once; the probe on the exit
 * from system calls switches the task in between.
 *
 * Context: any in which no runqueue is locked.
 */
void rlp_task_nudge(struct task_struct *task)
{
	if (task->flags & PF_KTHREAD) {
		rlp_wake_up_state(task, TASK_INTERRUPTIBLE);
		return;
	}
	if (!test_and_set_tsk_thread_flag(task, TIF_NOTIFY_SIGNAL) &&
	    !rlp_wake_up_state(task, TASK_INTERRUPTIBLE))
		kick_process(task);
}

void notrace rlp_task_get(struct task_struct *task)
{
	get_task_struct(task);
}

/* Raw: the probe on task_newtask takes the lock with interrupts off, also on PREEMPT_RT. */
static DEFINE_RAW_SPINLOCK(new_tasks);

/* Context: any but NMI. */
unsigned long notrace rlp_new_tasks_lock(void)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&new_tasks, flags);
	return flags;
}

void notrace rlp_new_tasks_unlock(unsigned long flags)
{
	raw_spin_unlock_irqrestore(&new_tasks, flags);
}

/* Check the types of the probes in rust/kernel/sched.rs. */
static inline void __maybe_unused check_probes(void)
{
	void (*switch_out)(void *data, bool preempt, struct task_struct *prev,
			   struct task_struct *next, unsigned int prev_state) = NULL;
	void (*leave_syscall)(void *data, struct pt_regs *regs, long ret) = NULL;
	void (*new_task)(void *data, struct task_struct *task, u64 clone_flags) = NULL;

	check_trace_callback_type_sched_switch(switch_out);
	check_trace_callback_type_sys_exit(leave_syscall);
	check_trace_callback_type_task_newtask(new_task);
}

/* Check the constant in rust/kernel/task.rs. */
static_assert(TASK_COMM_LEN == 16);
