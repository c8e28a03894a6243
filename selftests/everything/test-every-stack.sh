#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Functions that are always on the stack of some task: the transition does not complete. The
# function is named as a blocker, and the transition can be reversed.
# timeout: 200

set -e
. "$(dirname "$0")/everything.sh"
load_everything

for function in schedule kthread do_idle worker_thread; do
	load_module rlp_layer00 match="$function"
	[[ $(</proc/rlp_layer00) == *" $function" ]] || fail "ftrace cannot hook $function"
	wait_until "grep -qE '^tasks [0-9]+ inside $function\$' $RLP/rlp_layer00/blockers" || {
		show_patch rlp_layer00
		fail "$function is not named as a blocker"
	}
	expect_transition rlp_layer00
	blocked=$(awk -v name="$function" '$1 == "tasks" && $4 == name { print $2 }' \
		$RLP/rlp_layer00/blockers)
	sleep 0.3
	exercise || fail "the shell's commands fail"
	expect_transition rlp_layer00
	# A switched task that calls schedule() calls the stub. The stubs of the other functions
	# need not be called: each task that calls one of these functions stays in it, and is not
	# switched.
	[[ $function == @(kthread|do_idle|worker_thread) ]] || expect_called rlp_layer00 "$function"
	echo 0 >$RLP/rlp_layer00/enabled
	wait_gone_and_unload rlp_layer00
	note "$function blocked $blocked tasks, and was reversed"
done
