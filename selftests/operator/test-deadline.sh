#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A transition that is not complete at its deadline is reversed, and the log names the blockers.
# timeout: 240
# guest: quiet

set -e
. "$(dirname "$0")/operator.sh"
# shellcheck disable=SC1091
. "$(dirname "$0")/../faults/inject.sh"

start_with deadline=2
watch uevents uevents
remember_state

fall_asleep
sleeper=$!
new_log
load_module rlp_patch_a funcs=rlp_target:sleep_show
expect_file $RLP/rlp_patch_a/deadline 2
wait_gone rlp_patch_a
expect_log "patch 'rlp_patch_a': the transition is not complete after 2 s, and is reversed"
expect_log "patch 'rlp_patch_a': tasks not switched: 1 inside sleep_show"
expect_log "patch 'rlp_patch_a': blocked by cat \\($sleeper\\) inside sleep_show$"
expect_seen uevents '^uevent deadline patching rlp_patch_a [0-9]+$'
expect_us deadline patching rlp_patch_a 2000000 $((8000000 * ${RLP_SLOW:-1}))
expect_seen uevents '^uevent leave disabled rlp_patch_a [0-9]+$'
wake_up
unload_module rlp_patch_a
expect_unchanged
pass "a patch that cannot be enabled in time is removed"

# Three of the five tasks are named.
load_patch rlp_patch_a funcs=rlp_target:one_show=doze
for _ in 1 2 3 4 5; do
	doze_in rlp_patch_a
done
new_log
echo 0 >$RLP/rlp_patch_a/enabled
wait_until "log_has 'is reversed'" 30 || fail "the transition is not reversed"
wait_settled rlp_patch_a
expect_log "patch 'rlp_patch_a': tasks not switched: 5 inside doze$"
task="cat \\([0-9]+\\) inside doze"
expect_log "patch 'rlp_patch_a': blocked by $task, $task, $task, and 2 more$"
expect_file $RLP/rlp_patch_a/enabled 1
pass "a patch that cannot be disabled in time stays enabled"

echo 0 >$RLP/rlp_patch_a/deadline
new_log
echo 0 >$RLP/rlp_patch_a/enabled
sleep 4
expect_file $RLP/rlp_patch_a/transition 1
! log_has 'is reversed' || fail "a transition without a deadline is reversed"
stop_dozing
wait_gone rlp_patch_a
unload_module rlp_patch_a
pass "a patch without a deadline"

# The reversed transition has no deadline: else it would be reversed again.
fall_asleep
load_module rlp_patch_b funcs=rlp_target:sleep_show,rlp_target:one_show
wait_gone rlp_patch_b
wake_up
unload_module rlp_patch_b

load_patch rlp_patch_a funcs=rlp_target:one_show
for value in -1 junk 5s "" 4294967296; do
	expect_fail EINVAL write "$value" $RLP/rlp_patch_a/deadline
done
expect_file $RLP/rlp_patch_a/deadline 2
echo 7 >$RLP/rlp_patch_a/deadline
expect_file $RLP/rlp_patch_a/deadline 7
unload_patch rlp_patch_a
pass "values of deadline"

# Without memory the transition is not reversed at its deadline. The loader retries at each sweep,
# and reports the deadline once.
load_faults
fall_asleep
new_log
load_module rlp_patch_a funcs=rlp_target:sleep_show
inject_within "$(loader_symbol worker_run)" '*'
echo Y >$FAIL/all_from_nth
arm 1
wait_until "log_has 'is reversed'" 30 || fail "the deadline is not noticed"
read_file $FAIL/seen
tries=$((REPLY + 3))
wait_until "read_file $FAIL/seen; ((REPLY > $tries))" 30 || fail "the reversal is not retried"
expect "$(log | grep -c 'not complete after 2 s, and is reversed')" 1 "reports of the deadline"
expect_log "patch 'rlp_patch_a': the transition was not reversed \(-12\), retrying"
expect_file $RLP/rlp_patch_a/enabled 1
disarm
echo N >$FAIL/all_from_nth
wait_gone rlp_patch_a
wake_up
unload_module rlp_patch_a
unload_module rlp_fail
pass "a transition that cannot be reversed at its deadline is reversed later"
finish
