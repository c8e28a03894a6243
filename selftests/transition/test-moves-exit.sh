#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Tasks that exit, and zombies, do not block a transition.

set -e
. "$(dirname "$0")/moves.sh"
load_moves

crowd() {
	coproc crowd { exec moves crowd "$1"; }
	# shellcheck disable=SC2154 # set by coproc
	crowd_pid=$crowd_PID
	read -r -u "${crowd[0]}" _
}

all_exit() {
	local in=${crowd[1]}

	exec {in}>&-
}

zombies() {
	grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l
}

reap() {
	kill -TERM "$crowd_pid"
	wait "$crowd_pid" 2>/dev/null || true
}

# During a transition that a straggler blocks.
crowd 100
start_process inside unint straggler
load_module moves_patch1
expect_blocker moves_patch1 straggler inside moves_inside
all_exit
wait_until '(($(zombies) >= 100))' 30 || fail "only $(zombies) zombies"
expect_one_blocker "zombies"
read -r switched total <"$P1/progress"
((switched + 1 == total && total > 100)) || fail "progress is $switched of $total"
# Reversed twice: the tasks are zombies when each direction begins.
start_process inside unint straggler
second=$process_pid
echo 0 >"$P1/enabled"
expect_one_blocker "zombies at a reversal"
echo 1 >"$P1/enabled"
expect_one_blocker "zombies at the second reversal"
reap
release
wait "$second"
wait_settled moves_patch1
unload_patch moves_patch1
note "100 tasks that exit during a transition"

# Tasks that are dead before the transition begins, and tasks that exit while it runs.
crowd 50
all_exit
wait_until '(($(zombies) >= 50))' 30 || fail "only $(zombies) zombies"
load_module moves_patch1
wait_settled moves_patch1
note "50 zombies: patched in $(cat "$P1/transition_us") us"
reap
unload_patch moves_patch1
for ((i = 0; i < 5; i++)); do
	crowd 100
	all_exit
	load_module moves_patch1
	wait_settled moves_patch1
	reap
	crowd 100
	all_exit
	unload_patch moves_patch1
	reap
done
note "patched and unpatched 5 times while 100 tasks exit"

# A straggler that is killed leaves the function, and exits.
start_process inside kill victim
load_module moves_patch1
expect_blocker moves_patch1 victim inside moves_inside
kill -KILL "$process_pid"
wait_settled moves_patch1
wait "$process_pid" 2>/dev/null || true
unload_patch moves_patch1
note "a straggler that is killed"
expect_no_mixed
