// SPDX-License-Identifier: GPL-2.0
/* Walking tasks, and the parts of a task that inline functions show. */
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/tracepoint.h>
#include <trace/events/sched.h>
#include <trace/events/syscalls.h>

#include "gate.h"
#include "helpers.h"

/* Not exported. With PROVE_RCU_LIST the walks over tasks name it as well. */
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

/* Visible tasks, threads included; stops when @fn returns false. The idle
 * tasks are not among them. Context: tasklist_lock or RCU.
 */
void notrace rlp_for_each_task(bool (*fn)(void *, struct task_struct *),
			       void *cookie)
{
	struct task_struct *process, *task;

	for_each_process_thread(process, task)
		if (!fn(cookie, task))
			return;
}

/* Dead: it left the CPU for the last time, see do_task_dead(). Pairs with the release of
 * on_cpu in finish_task(): what it did there has been done.
 */
bool notrace rlp_task_is_dead(struct task_struct *task)
{
	return READ_ONCE(task->__state) == TASK_DEAD && !smp_load_acquire(&task->on_cpu);
}

/* Past exit_notify(), which says so with tasklist_lock held for writing: for whoever has
 * that lock, or is the task, no partner but the lock is needed.
 */
bool notrace rlp_task_is_exiting(struct task_struct *task)
{
	return READ_ONCE(task->exit_state);
}

/* The CPU, if current is exiting, or -1. Context: any, preemption off. */
int notrace rlp_exiting_on(void)
{
	return rlp_task_is_exiting(current) ? raw_smp_processor_id() : -1;
}

/* Pairs with the release in finish_task(): off its CPU, its stack is written. */
bool notrace rlp_task_on_cpu(struct task_struct *task)
{
	return smp_load_acquire(&task->on_cpu);
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

/*
 * Make @task pass a safe point soon: a kthread is woken, any other task leaves
 * its interruptible sleep and its system call, as set_notify_signal() does; that
 * one is inline and calls what is not exported. No task_work: its memory would
 * have to stay until the task runs, and it may never. Hence the probe on the
 * exit from system calls, for one that is restarted goes straight to sleep again.
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

struct search {
	const char *name;
	struct tracepoint *found;
};

static void match(struct tracepoint *tp, void *data)
{
	struct search *search = data;

	if (!strcmp(tp->name, search->name))
		search->found = tp;
}

/* Of which types the probes in rust/kernel/sched.rs have to be. */
static inline void __maybe_unused check_probes(void)
{
	void (*switch_out)(void *data, bool preempt, struct task_struct *prev,
			   struct task_struct *next, unsigned int prev_state) = NULL;
	void (*leave_syscall)(void *data, struct pt_regs *regs, long ret) = NULL;

	check_trace_callback_type_sched_switch(switch_out);
	check_trace_callback_type_sys_exit(leave_syscall);
}

/* As rust/kernel/task.rs has it. */
static_assert(TASK_COMM_LEN == 16);

/* Those of vmlinux are not exported, but may be walked. */
struct tracepoint *rlp_tracepoint(const char *name)
{
	struct search search = { .name = name };

	for_each_kernel_tracepoint(match, &search);
	return search.found;
}

void rlp_tracepoint_synchronize(void)
{
	tracepoint_synchronize_unregister();
}
