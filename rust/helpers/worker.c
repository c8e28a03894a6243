// SPDX-License-Identifier: GPL-2.0
/* Run one function in process context, at the request of any context. */
#include <linux/preempt.h>

#include "helpers.h"

static void worker_run(struct work_struct *work)
{
	struct rlp_worker *worker = container_of(work, struct rlp_worker, work);

	worker->run();
}

static void worker_due(struct timer_list *timer)
{
	struct rlp_worker *worker = container_of(timer, struct rlp_worker, timer);

	queue_work(system_dfl_wq, &worker->work);
}

static void worker_kicked(struct irq_work *kick)
{
	struct rlp_worker *worker = container_of(kick, struct rlp_worker, kick);

	queue_work(system_dfl_wq, &worker->work);
}

/**
 * rlp_worker_start() - let requests run a function
 * @worker: zeroed
 * @run: the function
 *
 * Context: any. Called once for a worker, before rlp_worker_close().
 */
void rlp_worker_start(struct rlp_worker *worker, void (*run)(void))
{
	INIT_WORK(&worker->work, worker_run);
	timer_setup(&worker->timer, worker_due, 0);
	/*
	 * The irq_work is hard: PREEMPT_RT leaves soft irq_works to a thread of the
	 * CPU, which may be parked, or starved by a real-time task.
	 */
	worker->kick = IRQ_WORK_INIT_HARD(worker_kicked);
	worker->run = run;
	/* Pairs with smp_load_acquire() in is_started(). */
	smp_store_release(&worker->started, true);
}

/* Context: preemption off until the request is queued, for rlp_worker_close(). */
static __always_inline bool is_started(struct rlp_worker *worker)
{
	/* Pairs with smp_store_release() in rlp_worker_start(). */
	return smp_load_acquire(&worker->started);
}

/**
 * rlp_worker_kick() - request a run as soon as possible
 * @worker: started, or the request is ignored
 *
 * On a CPU that goes offline the interrupt may be lost, and the irq_work would stay pending
 * until the CPU is back. So nothing is queued on such a CPU, and the run waits for the
 * timer of rlp_worker_after().
 *
 * Context: any, also with a runqueue locked: irq_work_queue() wakes no task.
 */
void notrace rlp_worker_kick(struct rlp_worker *worker)
{
	guard(preempt_notrace)();
	if (is_started(worker) && cpu_online(raw_smp_processor_id()))
		irq_work_queue(&worker->kick);
}

/**
 * rlp_worker_after() - request a run after this time at the latest
 * @worker: started, or the request is ignored
 * @ms: milliseconds from now
 *
 * The timer is only ever moved to an earlier time, and no request cancels it. A delayed_work cannot
 * do that: mod_delayed_work() also replaces an earlier request by a later one.
 *
 * Context: process or soft interrupt.
 */
void rlp_worker_after(struct rlp_worker *worker, unsigned int ms)
{
	guard(preempt_notrace)();
	if (!is_started(worker))
		return;
	if (ms)
		timer_reduce(&worker->timer, jiffies + msecs_to_jiffies(ms));
	else
		queue_work(system_dfl_wq, &worker->work);
}

/**
 * rlp_worker_close() - ignore requests from now on
 * @worker: started
 *
 * The caller calls synchronize_rcu() next. After that, each request that was not ignored is
 * queued: preemption is off from the check of @worker->started until the request is queued.
 *
 * Context: any.
 */
void rlp_worker_close(struct rlp_worker *worker)
{
	WRITE_ONCE(worker->started, false);
}

/**
 * rlp_worker_stop() - wait for a run in progress, and cancel all requests
 * @worker: closed, and a grace period has passed since
 *
 * Context: may sleep. No part of the worker runs when this returns.
 */
void rlp_worker_stop(struct rlp_worker *worker)
{
	irq_work_sync(&worker->kick);
	timer_delete_sync(&worker->timer);
	cancel_work_sync(&worker->work);
}
