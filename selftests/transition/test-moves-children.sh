#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A child starts in the universe of its parent. The parents sleep in the patched function, so they
# are not switched, and make their children there.
# guest: quiet

set -e
. "$(dirname "$0")/moves.sh"
load_moves
[[ -e $MOVES/children ]] || skip "the kernel has no vhost_task_create()"
cd /sys/module/moves_target/parameters

# start_parent fork|crowd: let a parent wait in the patched function.
start_parent() {
	start_process pair "1 $1" parent
}

# expect_children VERSION WHAT: at least three quarters of the children must have called this
# version first. A sweep may have switched the others before they ran, because their stacks were
# empty. In-tree may do that, too.
expect_children() {
	local counts

	read -ra counts <$MOVES/children
	note "$2: first calls of ${counts[*]} children, by version"
	((counts[0] + counts[1] + counts[2] == $(cat children))) || fail "$2: children are missing"
	((counts[$1] * 4 >= $(cat children) * 3)) ||
		fail "$2: first calls by version: ${counts[*]}, and the parent is in version $1"
}

start_parent fork
load_module moves_patch1
expect_blocker moves_patch1 parent inside moves_session
expect_version 1
release
wait $process_pid
expect_children 0 "a patch is enabled"
wait_settled moves_patch1
expect_no_mixed

start_parent fork
echo 0 >"$P1/enabled"
expect_blocker moves_patch1 parent inside new_session
expect_version 0
release
wait $process_pid
expect_children 1 "a patch is disabled"
wait_gone_and_unload moves_patch1

# The parent is in the target universe after the reversal, and needs no switch.
start_parent fork
load_module moves_patch1
expect_blocker moves_patch1 parent inside moves_session
echo 0 >"$P1/enabled"
release
wait $process_pid
expect_children 0 "a transition is reversed"
wait_gone_and_unload moves_patch1

# Many children that stay: the table has no room for all of them at first, so it is replaced. The
# children are switched where they sleep, outside of the function.
start_parent crowd
echo 400 >children
echo 500 >child_pause_us
load_module moves_patch1
expect_blocker moves_patch1 parent inside moves_session
release
wait_until "read -ra counts <$MOVES/children && ((counts[0] + counts[1] == 400))" 60 ||
	fail "first calls of $(cat $MOVES/children) children of 400"
expect_children 0 "a crowd"
wait_until "read -r switched total <$P1/progress && ((switched + 1 == total))" ||
	fail "progress of a crowd is $(cat "$P1/progress")"
read -r _ total <"$P1/progress"
((total > 400)) || fail "only $total records for a crowd of 400"
expect_one_blocker "a crowd"
release
wait $process_pid
wait_settled moves_patch1
unload_patch moves_patch1
expect_no_mixed
