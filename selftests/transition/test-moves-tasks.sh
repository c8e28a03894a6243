#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A task outside of the patched function never blocks a transition, whatever the task does. A
# task inside the function blocks the transition until it leaves, and is listed as a blocker.

set -e
. "$(dirname "$0")/moves.sh"
load_moves

# on_and_off WHAT: patch and unpatch while tasks do what the caller has started. Both transitions
# must complete soon.
on_and_off() {
	local on

	load_module moves_patch1
	wait_settled moves_patch1
	expect_version 1
	on=$(cat "$P1/transition_us")
	echo 0 >"$P1/enabled"
	# Wait for the line in the log. The directory is removed only after the reference to the
	# patch's module was put. For this, each task must have left its CPU once, which a task
	# that spins in the kernel does not do.
	wait_until "log | grep rust_livepatch: | tail -n 1 | grep -q 'unpatching complete'" || {
		show_patch moves_patch1
		fail "$1: unpatching is not complete"
	}
	expect_version 0
	release
	wait_gone_and_unload moves_patch1
	expect_no_mixed
	note "$1: patched in $on us"
}

on_and_off "no other task"

for how in int kill unint spin polite; do
	start_process outside $how
	on_and_off "a process outside, $how"
	wait $process_pid
	start_kthread k-$how outside $how
	on_and_off "a kthread outside, $how"
done

start_kthread k-pair pair none
on_and_off "a kthread that calls the pair and never schedules"
start_kthread k-pair pair resched
on_and_off "a kthread that calls the pair and cond_resched()"

# inside KIND HOW REASON: a task inside of the function must not be switched.
inside() {
	local kind=$1 how=$2 reason=$3

	if [[ $kind == process ]]; then start_process inside "$how" straggler; else
		start_kthread straggler inside "$how"
	fi
	load_module moves_patch1
	expect_transition moves_patch1
	expect_blocker moves_patch1 straggler "$reason" moves_inside
	[[ $(grep -c '^[0-9]' "$P1/blockers") == 1 ]] ||
		fail "there are other blockers: $(cat "$P1/blockers")"
	read -r switched total <"$P1/progress"
	((switched + 1 == total)) || fail "progress is $switched of $total"
	# All other tasks are switched.
	expect_version 1
	release
	[[ $kind != process ]] || wait $process_pid
	wait_settled moves_patch1
	[[ $(cat "$P1/progress") == "0 0" ]] || fail "progress is $(cat "$P1/progress")"
	[[ ! $(cat "$P1/blockers") ]] || fail "blockers without a transition"

	# The same with the replacement, when the patch is disabled.
	if [[ $kind == process ]]; then start_process inside "$how" straggler; else
		start_kthread straggler inside "$how"
	fi
	echo 0 >"$P1/enabled"
	expect_transition moves_patch1
	expect_blocker moves_patch1 straggler "$reason" new_inside
	expect_version 0
	release
	[[ $kind != process ]] || wait $process_pid
	wait_gone_and_unload moves_patch1
	note "a $kind inside, $how"
}

for how in unint kill; do
	inside process $how inside
	inside kthread $how inside
done
for how in spin polite; do
	inside process $how inside
	inside kthread $how inside
done
