// SPDX-License-Identifier: GPL-2.0
/* One function in process context that any context may ask for. */
#include "helpers.h"

static void worker_run(struct work_struct *work)
{
	struct rlp_worker *worker = container_of(to_delayed_work(work),
						 struct rlp_worker, work);

	worker->run();
}

static void worker_kicked(struct irq_work *kick)
{
	struct rlp_worker *worker = container_of(kick, struct rlp_worker, kick);

	mod_delayed_work(system_dfl_wq, &worker->work, 0);
}

void rlp_worker_init(struct rlp_worker *worker, void (*run)(void))
{
	INIT_DELAYED_WORK(&worker->work, worker_run);
	/*
	 * Hard: where soft ones are left to threads (PREEMPT_RT), that of a CPU may be
	 * parked, or starved by a real-time task.
	 */
	worker->kick = IRQ_WORK_INIT_HARD(worker_kicked);
	worker->run = run;
}

/*
 * Context: any, also with a runqueue locked: irq_work_queue() wakes nobody. On a CPU that
 * goes down the interrupt may be lost, and the work stay pending until the CPU is back:
 * there it is left to the timer.
 */
void notrace rlp_worker_kick(struct rlp_worker *worker)
{
	if (cpu_online(raw_smp_processor_id()))
		irq_work_queue(&worker->kick);
}

/* Context: process or soft interrupt. */
void rlp_worker_after(struct rlp_worker *worker, unsigned int ms)
{
	mod_delayed_work(system_dfl_wq, &worker->work, msecs_to_jiffies(ms));
}

/* Context: may sleep. Afterwards nothing of the worker runs; nobody may kick. */
void rlp_worker_stop(struct rlp_worker *worker)
{
	irq_work_sync(&worker->kick);
	cancel_delayed_work_sync(&worker->work);
}
