#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A retired patch waits for RCU-tasks, here for a kthread that never leaves its CPU voluntarily.
# Meanwhile the next transition runs and completes.

set -e
. "$(dirname "$0")/moves.sh"
load_moves

load_module moves_patch1
wait_settled moves_patch1
start_kthread k-spin outside spin
echo 0 >"$P1/enabled"
wait_until 'log_has "moves_patch1.: unpatching complete"' 30 || fail "moves_patch1 is not disabled"
[[ -d $P1 ]] || fail "moves_patch1 is released although a kthread keeps RCU-tasks waiting"

# The last task of this transition is switched later, so the worker has to complete it.
start_process inside kill straggler
load_module moves_patch2
expect_blocker moves_patch2 straggler inside moves_inside
expect_version 2
kill -KILL "$process_pid"
wait_settled moves_patch2 10
expect_version 2
[[ -d $P1 ]] || fail "moves_patch1 was released before the transition completed"
note "moves_patch2: patched in $(cat "$RLP/moves_patch2/transition_us") us during the wait"

release
wait_gone_and_unload moves_patch1
unload_patch moves_patch2
expect_version 0
expect_no_mixed
