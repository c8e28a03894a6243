# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # the variables of scripts/lib/series.sh
export_symbol kernel/sched/core.c task_call_func
export_symbol kernel/sched/core.c wake_up_state
export_symbol kernel/sched/syscalls.c idle_task
export_symbol kernel/stop_machine.c stop_one_cpu_nowait
export_symbol kernel/fork.c tasklist_lock
export_symbol arch/x86/kernel/stacktrace.c arch_stack_walk_reliable
