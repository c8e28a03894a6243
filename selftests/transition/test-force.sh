#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A patch that is forced out stays in memory for ever, since some task may still be
# in its code: one that another replaces, and one that is disabled. One of the last tests
# for this reason: what it loads stays.

set -e
. "$(dirname "$0")/moves.sh"
load_moves

# force PATCH: whatever has not moved, because of the straggler.
force() {
	expect_blocker "$1" straggler inside new_inside
	echo 1 >"$RLP/$1/force"
}

# pinned PATCH: it is gone, and its module stays, also when nobody is in there any more.
pinned() {
	wait_until "[[ ! -d $RLP/$1 ]]" || fail "$1 is still shown"
	! rmmod "$1" 2>/dev/null || fail "$1 can be removed"
	log_has "'$1': its module stays" || fail "no word about $1"
	sleep 1
	is_loaded "$1" || fail "$1 is gone"
	release
	wait "$process_pid"
	! rmmod "$1" 2>/dev/null || fail "$1 can be removed later"
	note "pinned: $(lsmod | grep "^$1 ")"
}

load_module moves_patch1
wait_settled moves_patch1
start_process inside unint straggler
load_module moves_patch2 replace=1
force moves_patch2
wait_settled moves_patch2
expect_version 2
log_has "'moves_patch1': replaced by 'moves_patch2'" || fail "no word about the replacement"
loaded=(moves_patch2)
pinned moves_patch1
expect_version 2

start_process inside unint straggler
echo 0 >"$RLP/moves_patch2/enabled"
force moves_patch2
loaded=()
pinned moves_patch2
expect_version 0
