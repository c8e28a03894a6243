#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# First, 2,000 functions that are drawn at random are replaced by stubs at once, under load.
#
# Then test-moves-pair.sh for a longer time, with everything that may disturb it: forks, execs,
# threads, modules that are loaded and unloaded, CPU hotplug, tracers, probes, bpf programs,
# in-tree livepatch, and allocations that fail. Only force is left out, since it mixes calls.
#
#	RLP_MINUTES=	how long (10)
#	RLP_SEED=	a seed that was printed, to repeat its choices
#
# The kernel warns if an allocation fails for a module's jump labels. It also warns about one
# place in the function graph tracer (Documentation/design.rst, "Known limits"), and about
# in-tree livepatch (../intree/test-intree.sh).
# expect-log: Call Trace|cut here|WARNING: .*jump_label|wrong direction\? at return_to_handler|WARNING: kernel/livepatch/transition\.c:[0-9]+ at klp_check_stack

. "$(dirname "$0")/random-changes.sh"
. "$(dirname "$0")/../everything/everything.sh"
. "$(dirname "$0")/../faults/inject.sh"
. "$(dirname "$0")/disturbances.sh"
seed=${RLP_SEED:-$((RANDOM * 32768 + RANDOM))}
say_replay "torture FUZZ_SEED=$seed"
RANDOM=$((seed % 32768))
load_everything
forks=$(awk '$1 == "processes" { print $2 }' /proc/stat)
trap 'torture_end $?' EXIT
faults=0

# Runs at the exit. The disturbances must be stopped before their counters are removed.
torture_end() {
	stop_disturbances
	rm -rf "$counts"
	moves_end "$1"
}

# Replace the functions, let them be called, and put the originals back.
replace_many() {
	start_load
	replace_functions rlp_everything random=2000 seed="$seed"
	((count == 2000)) || fail "$count functions were drawn"
	wait_until "settled_modes rlp_everything" 120
	exercise || fail "the shell's commands fail"
	echo "# of 2000 functions, $(count_promoted rlp_everything) jump, and $(count_called rlp_everything) were called"
	disable_and_unload rlp_everything
	stop_workers
}

summary() {
	echo "# $rounds rounds, $transitions transitions, $reversals reversals, $jumps from jumps; $(calls) calls, $(mixed) mixed"
	awk -v forks="$forks" -v rest="$(print_disturbances)$faults faults" \
		'$1 == "processes" { printf "# meanwhile %d forks, %s\n", $2 - forks, rest }' \
		/proc/stat
}

# Set "points" to the number of allocations while a patch is loaded. With the kernel's own fault
# injection, most of them are made before the patch's init is called.
count_points() {
	arm 1000000
	run load moves_patch1
	disarm
	[[ $errno == 0 ]] || fail "moves_patch1: $errno"
	points=$counted
	((points > 0)) || fail "no allocation was counted while a patch was loaded"
	wait_settled moves_patch1
	unload_patch moves_patch1
	echo "# $points allocations while a patch is loaded"
}

# Now and then let an allocation fail. The patch is refused, or works without that allocation.
try_load() {
	local patch=$1

	if ((RANDOM % 3 == 0)); then
		arm $((1 + RANDOM % points))
		run load "$@"
		disarm
		[[ ! $where ]] || faults=$((faults + 1))
		case $errno in
		0) return ;;
		ENOMEM) [[ $where ]] || fail "$patch: ENOMEM, although no allocation has failed" ;;
		*) fail "$patch: $errno, after '$where'" ;;
		esac
	fi
	load_module "$@"
}

replace_many
if has_kernel_faults; then
	kernel_faults
else
	load_faults
	inject_within do_one_initcall
fi
count_points
disturb_all
start_worker moves hammer 3 "$seed"
echo 1 >$MOVES/ticks

rounds=0 report=$SECONDS
end=$((SECONDS + ${RLP_MINUTES:-10} * 60))
while ((SECONDS < end)); do
	change_at_random
	rounds=$((rounds + 1))
	if ((SECONDS >= report)); then
		summary
		report=$((SECONDS + 60))
	fi
done
expect_workers
stop_disturbances
summary
expect_no_mixed
expect_disturbances
# lockdep stops after its first report, and expect-log would hide that report.
[[ ! -e /proc/lockdep_stats ]] || grep -qE '^ *debug_locks: +1$' /proc/lockdep_stats ||
	fail "lockdep has stopped"
((faults)) || fail "no allocation has failed"
