#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The functions that the loader itself uses are replaced by stubs: text patching, kallsyms, kernfs
# and sysfs, module loading, RCU, the unwinder, the scheduler's functions for a task, workqueues,
# irq_work, the stopper. (ftrace's own functions have no fentry site.) Meanwhile another patch is
# enabled, promoted, reversed and disabled.
# timeout: 300
# guest: long

set -e
. "$(dirname "$0")/everything.sh"
load_everything
functions=(
	'*smp_text_poke_*' 'text_poke*'
	arch_static_call_transform __static_call_update 'static_call_*' 'jump_label_*'
	'kallsyms_*' 'module_*' 'find_kallsyms_symbol*' 'kernfs_*' 'sysfs_*' 'kobject_*'
	internal_create_group load_module do_init_module 'find_module*' free_module try_module_get
	'apply_relocate*' 'blocking_notifier_*' notifier_call_chain
	'rcu_*' 'call_rcu*' '__call_rcu*' 'synchronize_rcu*' 'srcu_*' '__srcu_*' kvfree_call_rcu
	'unwind_*' __unwind_start 'stack_trace_*' 'arch_stack_walk*' 'orc_*'
	task_call_func try_to_wake_up 'wake_up_*' 'ttwu_*' 'resched_curr*' signal_wake_up_state
	'*queue_*work*' insert_work 'process_*work*' '*flush_work*' 'cancel_*work*' 'irq_work_*'
	'stop_one_cpu*' cpu_stop_queue_work 'smp_call_function*' on_each_cpu_cond_mask
	'tracepoint_*' 'seq_*' 'mutex_*' '__mutex_*' '*kmalloc_*' 'kmem_cache_*' kfree 'vmalloc*'
	'vfree*'
	register_kprobe 'unregister_kprobe*' arm_kprobe
)

# The functions that are always on a stack are left out. A task is in one of the others only for a
# moment, so the transition completes.
replace_functions rlp_everything match="$(IFS=';' && echo "${functions[*]}")"
((count > 400)) || fail "only $count functions match"
for _ in 1 2; do
	patch_and_unpatch
	# A task that sleeps in the target holds the next transition, which is then reversed.
	start_process inside unint straggler
	load_module moves_patch1
	expect_blocker moves_patch1 straggler inside moves_inside
	echo 0 >$P1/enabled
	wait_gone_and_unload moves_patch1
	release
	wait $process_pid
	# The second round runs while the stubs are promoted.
	wait_until "settled_modes rlp_everything" 60
done
expect_version 0
expect_called rlp_everything load_module kernfs_create_link task_call_func \
	arch_stack_walk_reliable module_kallsyms_on_each_symbol
note "$count functions that the loader uses are replaced, $(count_promoted rlp_everything) jump, $(count_called rlp_everything) were called"
disable_and_unload rlp_everything
patch_and_unpatch
