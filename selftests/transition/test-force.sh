#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# If the removal of a patch was forced, its module can never be unloaded, since some task may
# still run its code. The first patch here is replaced by force, and the second is disabled by
# force. This is one of the last tests, because its modules stay loaded.

set -e
. "$(dirname "$0")/moves.sh"
load_moves

# force PATCH: force its transition, which the straggler blocks.
force() {
	expect_blocker "$1" straggler inside new_inside
	echo 1 >"$RLP/$1/force"
}

# pinned PATCH: the patch must be gone, and its module must stay, even after the straggler has
# left its code.
pinned() {
	wait_until "[[ ! -d $RLP/$1 ]]" || fail "$1 keeps its directory"
	! rmmod "$1" 2>/dev/null || fail "$1 can be unloaded"
	log_has "patch '$1': its module cannot be unloaded, because tasks were forced" || fail "no line in the log says that $1 stays"
	sleep 1
	is_loaded "$1" || fail "$1 is not loaded any more"
	release
	wait "$process_pid"
	! rmmod "$1" 2>/dev/null || fail "$1 can be unloaded later"
	note "stays loaded: $(lsmod | grep "^$1 ")"
}

load_module moves_patch1
wait_settled moves_patch1
start_process inside unint straggler
load_module moves_patch2 replace=1
force moves_patch2
wait_settled moves_patch2
expect_version 2
log_has "'moves_patch1': replaced by 'moves_patch2'" || fail "the replacement is not in the log"
loaded=(moves_patch2)
pinned moves_patch1
expect_version 2

start_process inside unint straggler
echo 0 >"$RLP/moves_patch2/enabled"
force moves_patch2
loaded=()
pinned moves_patch2
expect_version 0
