#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Reach the calls that the other tests of the guests with IBT do not reach: the files that are
# written in a transition, a list of blockers in two functions, the probe on system calls, and the
# search for the .cold part of a function of vmlinux.

set -e
. "$(dirname "$0")/../lib/patches.sh"
start_loader probation=600
load_module rlp_target
remember_state
patch=$RLP/rlp_patch_a

# Two tasks sleep, each in another function of the patch. cold_show() may have a .cold part.
fall_asleep
cat $TARGET/cold >/dev/null &
wait_until "read_file $PARAMETERS/sleepers; [[ \$REPLY == 2 ]]" || fail "$REPLY tasks sleep"
load_module rlp_patch_a \
	funcs=rlp_target:sleep_show,rlp_target:cold_show,:drop_caches_sysctl_handler=nothing
for function in sleep_show cold_show; do
	wait_until "grep -qE '^[0-9]+ cat inside $function(\.cold)?$' $patch/blockers" || {
		show_patch rlp_patch_a
		fail "no task blocks in $function"
	}
done
pass "two blockers in two functions"

echo 600 >$patch/deadline
expect_file $patch/deadline 600
echo 0 >$patch/force
expect_file $patch/transition 1
pass "deadline and force are written"

# After 3 seconds the loader wakes the blockers, and has a probe on each system call.
nap 5
expect_file $patch/transition 1
wake_up
wait
wait_settled rlp_patch_a
pass "the transition completes after a nudge"

expect_file $patch/confirmed 0
echo 1 >$patch/confirmed
expect_file $patch/confirmed 1
unload_patch rlp_patch_a
expect_unchanged
pass "the patch is confirmed"
finish
