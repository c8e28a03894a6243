#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A task that is asleep interruptibly in a patched function is woken after three
# seconds: its system call is restarted, and is a call of the new function then.

set -e
. "$(dirname "$0")/moves.sh"
load_moves

start_process inside int sleeper
load_module moves_patch1
expect_blocker moves_patch1 sleeper inside moves_inside
wait_settled moves_patch1 10
took=$(cat "$P1/transition_us")
((took > 2900000)) || fail "woken after $took us already"
kill -0 $process_pid || fail "the restarted system call has ended"
note "a process asleep in the function: patched in $took us"

echo 0 >"$P1/enabled"
expect_blocker moves_patch1 sleeper inside new_inside
wait_gone_and_unload moves_patch1 10
kill -0 $process_pid || fail "the restarted system call has ended"
note "the same in the replacement"

# A kthread is woken as well, and may leave the function then.
start_kthread k-once inside once
load_module moves_patch1
expect_blocker moves_patch1 k-once inside moves_inside
wait_settled moves_patch1 10
took=$(cat "$P1/transition_us")
((took > 2900000)) || fail "woken after $took us already"
note "a kthread that leaves the function when it is woken: patched in $took us"
unload_patch moves_patch1

# One that goes to sleep again at once: no harm is done.
start_kthread k-int inside int
load_module moves_patch1
sleep 5
expect_blocker moves_patch1 k-int inside moves_inside
release
wait $process_pid
wait_settled moves_patch1
unload_patch moves_patch1
expect_no_mixed
