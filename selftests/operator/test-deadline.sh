#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A transition that is not complete at its deadline is reversed, and the log names the blockers.
# timeout: 240
# guest: quiet

set -e
. "$(dirname "$0")/operator.sh"

own_loader_with deadline=2
watch uevents uevents
remember_state

fall_asleep
sleeper=$!
new_log
load_module rlp_patch_a funcs=rlp_target:sleep_show
expect_file $RLP/rlp_patch_a/deadline 2
wait_gone rlp_patch_a
expect_log "patch 'rlp_patch_a': the transition is not complete after 2 s, and is reversed"
expect_log "patch 'rlp_patch_a': delayed by 1 tasks: inside sleep_show"
expect_log "patch 'rlp_patch_a': blocked by cat \\($sleeper\\) inside sleep_show$"
expect_seen uevents '^uevent deadline patching rlp_patch_a [0-9]+$'
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
expect_log "patch 'rlp_patch_a': delayed by 5 tasks: inside doze$"
task="cat \\([0-9]+\\) inside doze"
expect_log "patch 'rlp_patch_a': blocked by $task, $task, $task, and 2 more tasks$"
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
finish
