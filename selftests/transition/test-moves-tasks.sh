#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Tasks that are not in the patched function never hold a transition up, however
# they pass their time; one that is in it does, until it leaves, and is named.

set -e
. "$(dirname "$0")/moves.sh"
load_moves

# Patch and unpatch with whatever is going on; both must end soon.
on_and_off() {
	local on

	load_module moves_patch1
	wait_settled moves_patch1
	expect_version 1
	on=$(cat "$P1/transition_us")
	echo 0 >"$P1/enabled"
	# Everybody has moved: seen in the log, since the patch's code is given back only
	# when all tasks have left the CPU once, which who spins in the kernel does not.
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

on_and_off "nobody"

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
on_and_off "a kthread that calls the pair and has cond_resched()"

# Those inside: the function must not change under them.
inside() { # KIND HOW REASON
	local kind=$1 how=$2 reason=$3

	if [[ $kind == process ]]; then start_process inside "$how" straggler; else
		start_kthread straggler inside "$how"
	fi
	load_module moves_patch1
	expect_transition moves_patch1
	expect_blocker moves_patch1 straggler "$reason" moves_inside
	[[ $(grep -c . "$P1/blockers") == 1 ]] || fail "others block: $(cat "$P1/blockers")"
	read -r switched total <"$P1/progress"
	((switched + 1 == total)) || fail "progress is $switched of $total"
	# Everybody else has moved.
	expect_version 1
	release
	[[ $kind != process ]] || wait $process_pid
	wait_settled moves_patch1
	[[ $(cat "$P1/progress") == "0 0" ]] || fail "progress is $(cat "$P1/progress")"
	[[ ! $(cat "$P1/blockers") ]] || fail "blockers without a transition"

	# And in the patch's own code, on the way back.
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
