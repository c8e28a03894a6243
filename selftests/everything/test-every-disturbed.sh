#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# 300 functions that are drawn at random are replaced by stubs while something else disturbs the
# loader: the graph tracer, kprobes and a bpf program on the same functions, a CPU that goes offline
# and online, a frozen task, allocations that fail.
#
#	RLP_SEED=	a seed that was printed, to repeat its choices
#
# The kernel may log two warnings. One is about a place in the function graph tracer
# (Documentation/design.rst, "Known limits"). The other is about a failed allocation for a module's
# jump labels.
# expect-log: Call Trace|cut here|WARNING: .*jump_label|wrong direction\? at return_to_handler
# timeout: 600
# guest: long

set -e
. "$(dirname "$0")/everything.sh"
. "$(dirname "$0")/../faults/inject.sh"
seed=${RLP_SEED:-$((RANDOM * 32768 + RANDOM))}
say_replay "check T=every-disturbed FUZZ_SEED=$seed"
load_everything
list=$(mktemp)
# Some of the functions are called all the time; most of those that are drawn are not.
hot='vfs_read;vfs_write;wake_up_new_task;hrtimer_interrupt;do_exit;handle_mm_fault;path_openat;mmput;seq_read_iter;try_to_wake_up'
parameters=(match="$hot" random=300 seed="$seed")
frozen=

undo() {
	local status=$?

	set +e
	{
		echo nop >$tracing/current_tracer
		echo >$tracing/set_ftrace_filter
		[[ ! -d $tracing/events/rlp_every ]] || echo 0 >$tracing/events/rlp_every/enable
		echo >$tracing/kprobe_events
		[[ ! $frozen ]] || { echo 0 >"$frozen/cgroup.freeze" && umount "${frozen%/*}"; }
	} 2>/dev/null
	moves_end $status
}
trap undo EXIT

# change [WHAT]: replace the functions and put the originals back.
change() {
	local start=${EPOCHREALTIME/./} called

	replace_functions rlp_everything "${parameters[@]}"
	exercise || fail "$1: the shell's commands fail"
	cut -d' ' -f2 /proc/rlp_everything >"$list"
	called=$(count_called rlp_everything "${hot//;/|}")
	((called >= 3)) || fail "$1: only $called stubs were called"
	disable_and_unload rlp_everything
	note "$1: $(((${EPOCHREALTIME/./} - start) / 1000)) ms"
}

start_load
change "under load"

if [[ -e $tracing/current_tracer ]] && grep -q function_graph $tracing/available_tracers; then
	cat "$list" >$tracing/set_ftrace_filter
	echo function_graph >$tracing/current_tracer
	change "function graph tracer"
	replace_functions rlp_everything "${parameters[@]}"
	echo nop >$tracing/current_tracer
	echo function_graph >$tracing/current_tracer
	exercise || fail "the tracer was set: the shell's commands fail"
	echo nop >$tracing/current_tracer
	disable_and_unload rlp_everything
	echo >$tracing/set_ftrace_filter
else
	untested "function graph tracer"
fi

if [[ -e $tracing/kprobe_events ]]; then
	for name in ${hot//;/ }; do
		echo "p:rlp_every/p_$name $name" >>$tracing/kprobe_events || true
		echo "r:rlp_every/r_$name $name" >>$tracing/kprobe_events || true
	done 2>/dev/null
	echo 1 >$tracing/events/rlp_every/enable
	kprobes=$(wc -l <$tracing/kprobe_events)
	((kprobes >= 6)) || fail "there are only $kprobes kprobes"
	change "kprobes"
	echo 0 >$tracing/events/rlp_every/enable
	echo >$tracing/kprobe_events
else
	untested "kprobes"
fi

if [[ -e /sys/kernel/btf/vmlinux ]] && command -v bpf_trace >/dev/null; then
	mkfifo "$list.stop"
	bpf_trace fexit vfs_read <"$list.stop" >"$list.bpf" 2>&1 &
	exec 4>"$list.stop"
	wait_until "grep -qs . $list.bpf" 30
	grep -q attached "$list.bpf" || fail "bpf: $(cat "$list.bpf")"
	change "a bpf program"
	exec 4>&-
	wait_until "[[ \$(tail -n 1 $list.bpf) =~ ^[0-9]+\$ ]]" || fail "bpf: $(cat "$list.bpf")"
	(($(tail -n 1 "$list.bpf") > 0)) || fail "the bpf program was not called"
else
	untested "bpf programs"
fi

if ((cpus > 1)) && [[ -e /sys/devices/system/cpu/cpu1/online ]]; then
	set_online 1 0
	replace_functions rlp_everything "${parameters[@]}"
	set_online 1 1
	exercise || fail "CPU 1 is online again: the shell's commands fail"
	set_online 1 0
	disable_and_unload rlp_everything
	set_online 1 1
	note "a CPU was offline"
else
	untested "CPU hotplug"
fi

# A frozen task sleeps on its way to user mode.
if grep -q cgroup2 /proc/filesystems && mkdir "$list.cgroup" &&
	mount -t cgroup2 none "$list.cgroup" 2>/dev/null; then
	frozen=$list.cgroup/frozen
	mkdir "$frozen"
	sleep 1000 &
	sleeper=$!
	echo $sleeper >"$frozen/cgroup.procs"
	echo 1 >"$frozen/cgroup.freeze"
	wait_until "grep -q 'frozen 1' $frozen/cgroup.events" || fail "the task is not frozen"
	# The frozen task would block a patch of a function on its stack: leave these out.
	add_busy "/proc/$sleeper/stack"
	change "a frozen task"
	echo 0 >"$frozen/cgroup.freeze"
	kill $sleeper
	wait $sleeper || true
	wait_until "rmdir $frozen 2>/dev/null"
	umount "$list.cgroup"
	frozen=
else
	untested "frozen tasks"
fi

# Each attempt lets another allocation fail: the patch is refused, or works without it.
if ! has_kernel_faults; then
	load_faults
	inject_within do_one_initcall
	refused=0
	arm $UNREACHED
	run load rlp_everything skip="$busy" "${parameters[@]}"
	disarm
	[[ $errno == 0 ]] || fail "without a fault: $errno"
	points=$counted
	wait_settled rlp_everything 60
	disable_and_unload rlp_everything
	RANDOM=$((seed % 32768))
	for _ in 1 2 3 4 5 6; do
		nth=$((1 + RANDOM * 32768 % points + RANDOM % points))
		arm $((nth > points ? nth - points : nth))
		run load rlp_everything skip="$busy" "${parameters[@]}"
		disarm
		case $errno in
		0)
			wait_settled rlp_everything 60
			disable_and_unload rlp_everything
			;;
		ENOMEM)
			[[ $where ]] || fail "ENOMEM, although no allocation has failed"
			refused=$((refused + 1))
			;;
		*) fail "$errno after '$where'" ;;
		esac
	done
	[[ ! $(hooked) ]] || fail "hooks are left: $(hooked | head)"
	((refused)) || fail "no patch was refused"
	note "of 6 patches, $refused were refused after one of $points allocations had failed"
	unload_module rlp_fail
else
	untested "allocations that fail: test-fail-nth.sh lets the kernel inject them"
fi
stop_workers
expect_no_mixed
