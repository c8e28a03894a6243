#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# If the removal of a patch was forced, its module can never be unloaded, since some task may
# still run its code. The first patch here is replaced by force, and the second is disabled by
# force. This is one of the last tests, because its modules stay loaded.

set -e
. "$(dirname "$0")/moves.sh"
load_moves

events=$(mktemp)
watch_patches uevents >"$events" &
watcher=$!
wait_until "[[ -s $events ]]" || fail "watch_patches does not start"

# force PATCH STATE: force its transition, which the straggler blocks. The event must be reported.
force() {
	expect_blocker "$1" straggler inside new_inside
	echo 1 >"$RLP/$1/force"
	wait_until "grep -qE '^uevent force $2 $1 [0-9]+$' $events" ||
		fail "the force of $1 is not reported: $(<"$events")"
}

# pinned PATCH: the patch must be gone, and its module must stay, even after the straggler has
# left its code.
pinned() {
	wait_until "[[ ! -d $RLP/$1 ]]" || fail "$1 keeps its directory"
	! rmmod "$1" 2>/dev/null || fail "$1 can be unloaded"
	log_has "patch '$1': its module cannot be unloaded, because tasks were forced" ||
		fail "no line in the log says that $1 stays"
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
force moves_patch2 patching
wait_settled moves_patch2
expect_version 2
log_has "'moves_patch1': replaced by 'moves_patch2'" || fail "the replacement is not in the log"
loaded=(moves_patch2)
pinned moves_patch1
expect_version 2

start_process inside unint straggler
echo 0 >"$RLP/moves_patch2/enabled"
force moves_patch2 unpatching
loaded=()
pinned moves_patch2
expect_version 0
kill $watcher
rm "$events"

# The init of a patch's module fails while a task is in the patch. When the loader does not wait any
# longer, the patch can be forced. Its module stays loaded, and insmod never ends. So this module
# cannot be loaded again.
insmod "$(module_file rlp_target)"
loaded+=(rlp_target)
insmod "$(module_file rlp_patch_d)" fail=-19 hold=Y funcs=rlp_target:one_show=doze &
insmod_pid=$!
disown
wait_until "patch_settled rlp_patch_d" || fail "rlp_patch_d is not enabled"
cat /proc/rlp_target/one >/dev/null &
reader=$!
wait_until "grep -q 'doze.*rlp_patch_d' /proc/$reader/stack" || fail "no task is in rlp_patch_d"
echo N >/sys/module/rlp_patch_d/parameters/hold
wait_until "log_has \"patch 'rlp_patch_d' is not disabled yet\"" 30 ||
	fail "the unload of rlp_patch_d is not stalled"
echo 1 >$RLP/rlp_patch_d/force
wait_until "patch_gone rlp_patch_d" 30 || fail "rlp_patch_d keeps its directory"
log_has "patch 'rlp_patch_d': its module cannot be unloaded, because tasks were forced" ||
	fail "no line in the log says that rlp_patch_d stays"
sleep 1
grep -q 'doze.*rlp_patch_d' /proc/$reader/stack || fail "the task is not in rlp_patch_d any more"
kill -KILL $reader
wait $reader || true
grep -q '^rlp_patch_d .* Unloading' /proc/modules || fail "rlp_patch_d is not in memory any more"
kill -0 $insmod_pid || fail "insmod of rlp_patch_d has ended"
unload_module rlp_target
# The kernel would report insmod as a task that is blocked for long.
echo 1200 >/proc/sys/kernel/hung_task_timeout_secs
note "stays loaded: $(grep '^rlp_patch_d ' /proc/modules)"
