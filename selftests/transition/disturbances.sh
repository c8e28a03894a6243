# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The disturbances of torture.sh, on top of moves.sh. Each is a process that repeats one
# operation with random pauses, and counts it.
# shellcheck disable=SC2154 # variables of moves.sh

tracing=/sys/kernel/tracing
intree=/sys/kernel/livepatch/rlp_intree
counts=$(mktemp -d)
disturbances=()

# disturb_all: start each disturbance that this kernel supports.
disturb_all() {
	if [[ -d $tracing ]]; then
		# Tracing all functions is too slow on an emulated CPU.
		printf '%s\n' 'moves_*' 'new_*' 'vfs_*' 'wake_up_*' 'hrtimer_*' \
			>$tracing/set_ftrace_filter
		start_disturbance tracers switch_tracer
	fi
	[[ ! -e $tracing/kprobe_events ]] || start_disturbance kprobes set_kprobes
	if [[ -e /sys/kernel/btf/vmlinux ]] && command -v bpf_trace >/dev/null; then
		start_disturbance "bpf programs" attach_bpf
	fi
	((cpus < 2)) || [[ ! -e /sys/devices/system/cpu/cpu1/online ]] ||
		start_disturbance processors toggle_cpu
	if [[ -e $(module_file livepatch_late_c) ]]; then
		load_module livepatch_late_c
		start_disturbance modules reload_target
	fi
	if [[ -d ${intree%/*} && -e $(module_file rlp_intree) ]]; then
		load_module rlp_target
		start_disturbance "patches of in-tree livepatch" patch_in_tree
	fi
	start_disturbance storms storms
	start_disturbance stragglers start_straggler
}

# start_disturbance WHAT COMMAND...: repeat the command in a process with a seed of its own. The
# command calls "count WHAT".
start_disturbance() {
	local own=$RANDOM

	disturbances+=("$1")
	shift
	start_worker repeat_disturbance "$own" "$@" >/dev/null 2>&1
}

# repeat_disturbance SEED COMMAND...
repeat_disturbance() {
	trap - EXIT
	RANDOM=$1
	shift
	while sleep "0.$((RANDOM % 10))"; do
		"$@"
	done
}

# count WHAT: count one operation. counted WHAT: print the number of operations.
count() {
	echo >>"$counts/$1"
}

counted() {
	cat "$counts/$1" 2>/dev/null | wc -l
}

print_disturbances() {
	local what

	for what in "${disturbances[@]}"; do
		echo -n "$(counted "$what") $what, "
	done
}

expect_disturbances() {
	local what

	for what in "${disturbances[@]}"; do
		(($(counted "$what"))) || fail "there were no $what"
	done
}

# stop_disturbances: end all disturbances, and undo operations that they have not finished.
stop_disturbances() {
	jobs -p | xargs -r kill 2>/dev/null
	# A task that spins in the kernel delays RCU-tasks, which ftrace waits for below.
	wait_until 'release; pkill -x moves; ! pgrep -x moves >/dev/null' 20
	[[ ! -d $tracing ]] || {
		echo nop >$tracing/current_tracer
		echo >$tracing/set_ftrace_filter
	}
	[[ ! -e $tracing/kprobe_events ]] || clear_kprobes
	unload_in_tree
	wait_until 'rmmod livepatch_sample_target 2>/dev/null || ! is_loaded livepatch_sample_target' 10
}

toggle_cpu() {
	local cpu=$((1 + RANDOM % (cpus - 1)))

	set_online $cpu 0 || return
	sleep "0.$((RANDOM % 5))"
	set_online $cpu 1 && count processors
}

# Load and unload the target of another patch.
reload_target() {
	insmod "$(module_file livepatch_sample_target)" && cat /proc/livepatch_sample/greeting
	rmmod livepatch_sample_target && count modules
}

switch_tracer() {
	local tracers=(function function_graph nop)

	echo "${tracers[RANDOM % 3]}" >$tracing/current_tracer || return
	sleep "0.$((RANDOM % 10))"
	count tracers
}

# Set probes at the entry of the pair's callee and at the return of its caller.
set_kprobes() {
	echo "p:rlp_torture/entry moves_step" >>$tracing/kprobe_events
	echo "r:rlp_torture/return moves_session" >>$tracing/kprobe_events
	echo 1 >$tracing/events/rlp_torture/enable || return
	sleep "0.$((RANDOM % 10))"
	clear_kprobes && count kprobes
}

clear_kprobes() {
	[[ ! -d $tracing/events/rlp_torture ]] || echo 0 >$tracing/events/rlp_torture/enable
	echo >$tracing/kprobe_events
}

# Attach a bpf program to vfs_write(). ftrace keeps the direct calls of bpf programs and the jumps
# of patched functions in one table. The tasks that call the pair do so from within vfs_write().
attach_bpf() {
	local kinds=(fentry fexit)

	sleep "0.$((RANDOM % 10))" | bpf_trace "${kinds[RANDOM % 2]}" vfs_write &&
		count "bpf programs"
}

# Load a patch of in-tree livepatch for another function: its transition needs the same tasks.
patch_in_tree() {
	insmod "$(module_file rlp_intree)" says=intree funcs=rlp_target:one_show || return
	unload_in_tree && count "patches of in-tree livepatch"
}

unload_in_tree() {
	is_loaded rlp_intree || return 0
	wait_until "read_value $intree/transition; [[ \$REPLY != 1 ]]" 60
	[[ ! -d $intree ]] || echo 0 >$intree/enabled
	wait_until "rmmod rlp_intree 2>/dev/null || ! is_loaded rlp_intree" 60
}

storms() {
	local kinds=(forks execs threads) pid

	moves "${kinds[RANDOM % 3]}" $((1 + RANDOM % 3)) &
	pid=$!
	sleep $((1 + RANDOM % 5))
	kill -TERM $pid
	wait $pid
	count storms
}

# Start a straggler now and then. It makes transitions longer, so more of them are reversed.
start_straggler() {
	local kinds=(int unint kill spin)

	timeout 5 moves put $MOVES/inside "${kinds[RANDOM % 4]}" &
	sleep "$((RANDOM % 2)).$((RANDOM % 10))"
	release
	count stragglers
}
