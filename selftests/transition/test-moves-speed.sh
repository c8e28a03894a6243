#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The time that a transition takes on an idle machine. A task that can be switched before the
# next sweep must not wait for that sweep.
# guest: quiet

set -e
. "$(dirname "$0")/moves.sh"
load_moves

median() {
	sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

on=() off=()
for ((i = 0; i < 20; i++)); do
	load_module moves_patch1
	wait_settled moves_patch1
	on+=("$(cat "$P1/transition_us")")
	start=${EPOCHREALTIME/./}
	echo 0 >"$P1/enabled"
	wait_gone_and_unload moves_patch1
	off+=($((${EPOCHREALTIME/./} - start)))
done
on_median=$(printf '%s\n' "${on[@]}" | median)
note "transition_us of 20: median $on_median, longest $(printf '%s\n' "${on[@]}" | sort -n | tail -n 1)"
off_median=$(printf '%s\n' "${off[@]}" | median)
note "us from disabling to rmmod: median $off_median"
((on_median < 50000 * ${RLP_SLOW:-1})) || fail "a transition takes $on_median us"
# This time includes the wait for RCU-tasks, which checks tasks ten times a second.
((off_median < 1000000 * ${RLP_SLOW:-1})) || fail "it takes $off_median us to disable and unload"

# After a second and a half, sweeps are a second apart. A task that leaves the function is
# switched when it leaves the CPU, and the worker is woken if that was the last task.
waited=()
for ((i = 0; i < 5; i++)); do
	start_process inside unint sleeper
	load_module moves_patch1
	nap 1.5
	start=${EPOCHREALTIME/./}
	release
	until
		read_file "$P1/transition"
		[[ $REPLY == 0 ]]
	do :; done
	waited+=($((${EPOCHREALTIME/./} - start)))
	wait "$process_pid"
	unload_patch moves_patch1
done
waited_median=$(printf '%s\n' "${waited[@]}" | median)
note "us from the end of a sleep to the end of the transition: median $waited_median"
((waited_median < 100000 + 100000 * (${RLP_SLOW:-1} > 1))) ||
	fail "the transition completed $waited_median us after the last task left"
