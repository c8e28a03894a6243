#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Functions that run in interrupts, soft interrupts and NMIs are replaced by stubs, while interrupts
# of each kind arrive.
# expect-log: Call Trace|sysrq: Show backtrace
# timeout: 200
# guest: long

set -e
. "$(dirname "$0")/everything.sh"
load_everything
functions=(
	'handle_*_irq*' 'handle_irq_*' 'irq_enter*' 'irq_exit*' 'generic_handle_*' 'hrtimer_*'
	'__hrtimer_*'
	'tick_*' 'timekeeping_*' update_process_times sched_tick 'scheduler_*'
	handle_softirqs 'run_timer_*' '__run_timer*' call_timer_fn '*mod_timer*' expire_timers
	'tasklet_*'
	'raise_softirq*' 'rcu_core*' rcu_do_batch rcu_sched_clock_irq 'sched_balance_*'
	'task_tick_*' 'update_curr*' 'enqueue_*' 'dequeue_*' 'pick_*' 'set_next_*' 'put_prev_*'
	'wakeup_preempt*'
	'*nmi_*' 'native_*apic*' 'default_send_IPI_*' 'x2apic_*' 'irq_work_run*'
	'generic_smp_call_function_*'
	__flush_smp_call_function_queue sched_ttwu_pending 'serial8250_*'
	do_user_addr_fault handle_mm_fault 'do_*_fault' fixup_exception
)

# interrupts: timers in hard and soft interrupts, page faults, IPIs, and NMIs on all CPUs.
interrupts() {
	echo 1 >$MOVES/ticks
	[[ ! -w /proc/sysrq-trigger ]] || echo l >/proc/sysrq-trigger
	exercise || fail "the shell's commands fail"
	echo 0 >$MOVES/ticks
}

start_load
for _ in 1 2; do
	load_stubs rlp_everything match="$(IFS=';' && echo "${functions[*]}")"
	count=$(wc -l </proc/rlp_everything)
	((count > 200)) || fail "only $count functions match"
	interrupts
	wait_settled rlp_everything 60
	expect_replaced rlp_everything "$count"
	interrupts
	wait_until "settled_modes rlp_everything" 60
	interrupts
	expect_called rlp_everything 'hrtimer_.*' handle_softirqs 'tick_.*' '.*nmi.*' \
		handle_mm_fault update_process_times
	note "$count functions are replaced, $(count_promoted rlp_everything) jump, $(count_called rlp_everything) were called"
	disable_and_unload rlp_everything
done
stop_workers
expect_no_mixed
