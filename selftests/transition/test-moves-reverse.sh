#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout: 240
#
# A transition that is turned round half-way, both ways, over and over, with tasks
# that are born in between.

set -e
. "$(dirname "$0")/moves.sh"
load_moves

expect_state() { # ENABLED TRANSITION
	[[ $(cat "$P1/enabled") == "$1" ]] || fail "enabled is $(cat "$P1/enabled"), not $1"
	[[ $(cat "$P1/transition") == "$2" ]] || fail "transition is $(cat "$P1/transition")"
}

reverse_to() { # ENABLED
	echo "$1" >"$P1/enabled" || fail "cannot be turned round"
	expect_state "$1" 1
	expect_fail EINVAL write "$1" "$P1/enabled"
}

# What the last transition was in the end; the callbacks go by that, too.
expect_end() { # patching|unpatching
	local last

	last=$(log | sed -n "s/.*'moves_patch1': \([a-z]*\) complete$/\1/p" | tail -n 1)
	[[ $last == "$1" ]] || fail "$last is complete, not $1"
}

# Patching, turned round: nobody is inside the patch, it ends and the patch goes.
start_process inside unint straggler
load_module moves_patch1
expect_state 1 1
echo 0 >"$P1/enabled"
wait_gone_and_unload moves_patch1
expect_end unpatching
expect_version 0
release
wait $process_pid
note "patching turned round"

# Unpatching, turned round: it is enabled as before.
load_module moves_patch1
wait_settled moves_patch1
start_process inside unint straggler
new_log
echo 0 >"$P1/enabled"
expect_state 0 1
expect_version 0
echo 1 >"$P1/enabled"
wait_settled moves_patch1
expect_end patching
expect_state 1 0
expect_version 1
release
wait $process_pid
unload_patch moves_patch1
note "unpatching turned round"

# One straggler in each function holds it up both ways.
for first in patching unpatching; do
	if [[ $first == patching ]]; then
		start_process inside unint old
		load_module moves_patch1
		expect_state 1 1
		start_process inside unint new
	else
		load_module moves_patch1
		wait_settled moves_patch1
		start_process inside unint new
		echo 0 >"$P1/enabled"
		start_process inside unint old
	fi
	start_worker nice -n 10 moves hammer 1 $RANDOM
	start_worker nice -n 10 moves forks 1
	echo 1 >$MOVES/ticks
	for ((i = 0; i < 3; i++)); do
		[[ $(cat "$P1/enabled") == 0 ]] || reverse_to 0
		expect_one_blocker "turned off"
		expect_blocker moves_patch1 new inside new_inside
		expect_version 0
		reverse_to 1
		# One that is born in this universe has to be taken along.
		moves put $MOVES/pair "200 nap"
		expect_one_blocker "turned on"
		expect_blocker moves_patch1 old inside moves_inside
		expect_version 1
		expect_no_mixed
	done
	# As fast as can be: nobody has time to move.
	for ((i = 0; i < 10; i++)); do
		reverse_to 0
		reverse_to 1
	done
	echo 0 >$MOVES/ticks
	stop_workers
	release
	wait_settled moves_patch1
	expect_state 1 0
	expect_version 1
	unload_patch moves_patch1
	wait
	expect_version 0
	expect_no_mixed
	note "$first turned round 26 times, $(calls) calls, $(mixed) mixed"
done
