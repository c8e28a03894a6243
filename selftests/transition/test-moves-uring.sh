#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Workers of io_uring, which are no kthreads and never return to user mode.

set -e
. "$(dirname "$0")/moves.sh"
[[ $(cat /proc/sys/kernel/io_uring_disabled 2>/dev/null) == 0 ]] || skip "no io_uring"
load_moves

uring() { # FILE HOW
	moves uring "$MOVES/$1" "$2" &
	uring_pid=$!
	wait_until "[[ \$(cat $MOVES/waiting) == 1 ]]" || fail "no worker waits in the target"
	grep -q '^iou-wrk-' /proc/$uring_pid/task/*/comm || fail "there is no worker of io_uring"
}

uring outside unint
load_module moves_patch1
wait_settled moves_patch1
release
wait $uring_pid
note "a worker outside: patched in $(cat "$P1/transition_us") us"

uring inside unint
echo 0 >"$P1/enabled"
expect_blocker moves_patch1 'iou-wrk-[0-9]+' inside new_inside
release
wait $uring_pid
wait_gone_and_unload moves_patch1
note "a worker inside"

# The worker is nudged after 3 s and leaves the function. The operation then fails with EINTR, or is
# started again.
uring inside int
load_module moves_patch1
expect_blocker moves_patch1 'iou-wrk-[0-9]+' inside moves_inside
wait_settled moves_patch1 10
note "a worker that sleeps inside: patched in $(cat "$P1/transition_us") us"
release
wait $uring_pid
unload_patch moves_patch1
expect_no_mixed
