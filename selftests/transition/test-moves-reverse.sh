#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout: 240
#
# A transition is reversed before it completes, in both directions, many times, while tasks fork.

set -e
. "$(dirname "$0")/moves.sh"
load_moves

expect_state() { # ENABLED TRANSITION
	[[ $(cat "$P1/enabled") == "$1" ]] || fail "enabled is $(cat "$P1/enabled"), not $1"
	[[ $(cat "$P1/transition") == "$2" ]] || fail "transition is $(cat "$P1/transition")"
}

reversals=0
reverse_to() { # ENABLED
	echo "$1" >"$P1/enabled" || fail "the transition cannot be reversed"
	reversals=$((reversals + 1))
	expect_state "$1" 1
	expect_fail EINVAL write "$1" "$P1/enabled"
}

# The log must say that the last transition completed in this direction. The loader chooses the
# callbacks by the same direction, so this also shows which callbacks it calls.
expect_end() { # patching|unpatching
	local last

	last=$(log | sed -n "s/.*'moves_patch1': \([a-z]*\) complete$/\1/p" | tail -n 1)
	[[ $last == "$1" ]] || fail "the last line says that $last is complete, not $1"
}

# Patching is reversed: no task runs the patch's code, so it completes and the patch is removed.
start_process inside unint straggler
load_module moves_patch1
expect_state 1 1
echo 0 >"$P1/enabled"
wait_gone_and_unload moves_patch1
expect_end unpatching
expect_version 0
release
wait $process_pid
note "patching was reversed"

# Unpatching is reversed: the patch is enabled as before.
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
note "unpatching was reversed"

# One straggler in each function blocks the transition in both directions.
for first in patching unpatching; do
	reversals=0
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
		expect_one_blocker "reversed to unpatching"
		expect_blocker moves_patch1 new inside new_inside
		expect_version 0
		reverse_to 1
		# A task that was forked in this universe must be switched at the next reversal.
		moves put $MOVES/pair "200 nap"
		expect_one_blocker "reversed to patching"
		expect_blocker moves_patch1 old inside moves_inside
		expect_version 1
		expect_no_mixed
	done
	# As fast as possible: no task has the time to be switched.
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
	note "$first was reversed $reversals times, $(calls) calls, $(mixed) mixed"
done
