#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# test-moves-pair.sh for longer, with everything else that may get in the way: forks,
# execs, threads, modules that come and go, CPUs that come and go, tracers, memory that
# cannot be had.
#
#	RLP_MINUTES=	for so long (10)
#	RLP_SEED=	what was printed, for the same choices once more
#
# The kernel warns if memory was lacking for a module's jump labels.
# expect-log: Call Trace|cut here|WARNING: .*jump_label

. "$(dirname "$0")/moves.sh"
. "$(dirname "$0")/inject.sh"
seed=${RLP_SEED:-$((RANDOM * 32768 + RANDOM))}
say_replay "torture FUZZ_SEED=$seed"
RANDOM=$((seed % 32768))
end=$((SECONDS + ${RLP_MINUTES:-10} * 60))
tracing=/sys/kernel/tracing
load_moves
forks=$(awk '$1 == "processes" { print $2 }' /proc/stat)
counts=$(mktemp -d)
trap 'torture_end $?' EXIT
faults=0 disturbances=()

# However it ends. Who counts is let go first.
torture_end() {
	calm_down
	rm -rf "$counts"
	moves_end "$1"
}

calm_down() {
	jobs -p | xargs -r kill 2>/dev/null
	[[ ! -d $tracing ]] || {
		echo nop >$tracing/current_tracer
		echo >$tracing/set_ftrace_filter
	}
}

# What happened beside the patches: "count WHAT" says once more, "counted WHAT" how often.
count() {
	echo >>"$counts/$1"
}

counted() {
	cat "$counts/$1" 2>/dev/null | wc -l
}

summary() {
	echo "# $rounds rounds, $transitions transitions, $reversals reversals, $jumps from jumps; $(calls) calls, $(mixed) mixed"
	awk -v forks="$forks" -v rest="$(for what in "${disturbances[@]}"; do echo -n "$(counted "$what") $what, "; done)$faults faults" \
		'$1 == "processes" { printf "# meanwhile %d forks, %s\n", $2 - forks, rest }' /proc/stat
}

# points: how many allocations there are on the way of a patch. If it is the kernel that
# lets them fail, most of them are made before the patch's init is called.
count_points() {
	arm 1000000
	run load moves_patch1
	disarm
	[[ $errno == 0 ]] || fail "moves_patch1: $errno"
	points=$counted
	((points > 0)) || fail "a patch is loaded without an allocation"
	wait_settled moves_patch1
	patch_off moves_patch1
	echo "# $points allocations for a patch"
}

# Now and then an allocation fails: the patch is refused for that, or goes without.
try_load() {
	local patch=$1

	if ((RANDOM % 3 == 0)); then
		arm $((1 + RANDOM % points))
		run load "$@"
		disarm
		[[ ! $where ]] || faults=$((faults + 1))
		case $errno in
		0) return ;;
		ENOMEM) [[ $where ]] || fail "$patch: ENOMEM, although nothing has failed" ;;
		*) fail "$patch: $errno, after '$where'" ;;
		esac
	fi
	load_module "$@"
}

# another WHAT COMMAND...: over and over, with a seed of its own; it counts WHAT.
another() {
	local own=$RANDOM

	disturbances+=("$1")
	shift
	work disturb "$own" "$@" >/dev/null 2>&1
}

# disturb SEED COMMAND...
disturb() {
	trap - EXIT
	RANDOM=$1
	shift
	while sleep "0.$((RANDOM % 10))"; do
		"$@"
	done
}

plug() {
	local cpu=$((1 + RANDOM % (cpus - 1)))

	online $cpu 0 || return
	sleep "0.$((RANDOM % 5))"
	online $cpu 1 && count processors
}

# A module that another patch is for.
come_and_go() {
	insmod "$(module_file livepatch_sample_target)" && cat /proc/livepatch_sample/greeting
	rmmod livepatch_sample_target && count modules
}

trace() {
	local tracers=(function function_graph nop)

	echo "${tracers[RANDOM % 3]}" >$tracing/current_tracer || return
	sleep "0.$((RANDOM % 10))"
	count tracers
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

# A straggler now and then: the transition has to wait, and is turned round more often.
straggle() {
	local kinds=(int unint kill spin)

	timeout 5 moves put $MOVES/inside "${kinds[RANDOM % 4]}" &
	sleep "$((RANDOM % 2)).$((RANDOM % 10))"
	release
	count stragglers
}

if has_kernel_faults; then
	kernel_faults
else
	load_faults
	window do_one_initcall
fi
count_points
if [[ -d $tracing ]]; then
	# All functions at once are too much for an emulated CPU.
	printf '%s\n' 'moves_*' 'new_*' 'vfs_*' 'wake_up_*' 'hrtimer_*' >$tracing/set_ftrace_filter
	another tracers trace
fi
((cpus < 2)) || [[ ! -e /sys/devices/system/cpu/cpu1/online ]] || another processors plug
if [[ -e $(module_file livepatch_late_c) ]]; then
	load_module livepatch_late_c
	another modules come_and_go
fi
another storms storms
another stragglers straggle
work moves hammer 3 "$seed"
echo 1 >$MOVES/ticks

rounds=0 report=$SECONDS
while ((SECONDS < end)); do
	change_at_random
	rounds=$((rounds + 1))
	if ((SECONDS >= report)); then
		summary
		report=$((SECONDS + 60))
	fi
done
expect_workers
calm_down
wait_until 'rmmod livepatch_sample_target 2>/dev/null || ! is_loaded livepatch_sample_target' 10
summary
expect_no_mixed
for what in "${disturbances[@]}"; do
	(($(counted "$what"))) || fail "there were no $what"
done
((faults)) || fail "no allocation has failed"
