#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Compilers move the unlikely part of a function to a symbol of its own, and let a function leave
# its frame by a tail call. A task that sleeps there has no address of the function's own symbol on
# its stack. A transition that changes the function must not switch this task. The test does this
# with a function of a module, with a function of vmlinux, and with the replacement of a patch that
# stays enabled while a later patch replaces the same function.
# timeout: 240

set -e
. "$(dirname "$0")/../lib/patches.sh"
COLD=/sys/module/rlp_cold/parameters
trap 'status=$?; [[ ! -e $COLD/awake ]] || echo Y >$COLD/awake; patches_end $status' EXIT
load_loader
load_module rlp_target
remember_state

# has_symbol NAME MODULE: whether the compiler has made this symbol. MODULE is empty for vmlinux.
has_symbol() {
	awk -v name="$1" -v module="${2:+[$2]}" \
		'$3 == name && $4 == module { found = 1 } END { exit !found }' /proc/kallsyms
}

# blocked_by COMM WHERE PATCH: the transition must stay, and the task with this name must be named
# as its only blocker, inside the function WHERE.
blocked_by() {
	wait_until "grep -qE '^[0-9]+ $1 inside $2\$' $RLP/$3/blockers" || {
		show_patch "$3"
		fail "no task $1 in $2 blocks $3"
	}
	wait_until "[[ \$(grep -c '^[0-9]' $RLP/$3/blockers) == 1 ]]" || {
		show_patch "$3"
		fail "other tasks block $3"
	}
	expect_file "$RLP/$3/transition" 1
}

# expect_asleep NUMBER: this number of tasks sleeps in the functions of rlp_cold.
expect_asleep() {
	wait_until "read_file $COLD/sleepers; [[ \$REPLY == $1 ]]" ||
		fail "$REPLY tasks sleep in rlp_cold instead of $1"
}

if has_symbol cold_show.cold rlp_target; then
	fall_asleep cat cold
	load_module rlp_patch_b says=b funcs=rlp_target:cold_show
	blocked_by cat cold_show.cold rlp_patch_b
	wake_up
	wait_settled rlp_patch_b
	expect_file $TARGET/cold b
	unload_patch rlp_patch_b
	expect_unchanged
	pass "a task sleeps below the .cold part of a module's function"
else
	untested "the .cold part of a module's function: the compiler made none"
fi

load_patch rlp_cold
echo N >$COLD/awake
if has_symbol drop_caches_sysctl_handler.cold ''; then
	printer=$(mktemp)
	(
		trap - EXIT
		echo -n rlp-cold >/proc/$BASHPID/comm
		echo 1 >/proc/sys/vm/drop_caches
		echo printed >"$printer"
	) &
	expect_asleep 1
	load_module rlp_patch_b funcs=:drop_caches_sysctl_handler=nothing
	blocked_by rlp-cold drop_caches_sysctl_handler.cold rlp_patch_b
	echo Y >$COLD/awake
	wait
	wait_settled rlp_patch_b
	expect_file "$printer" printed
	rm "$printer"
	unload_patch rlp_patch_b
	pass "a task sleeps below the .cold part of a function of vmlinux"
else
	untested "the .cold part of a function of vmlinux: drop_caches_sysctl_handler has none"
fi

# stacked FILE: a task reads this file, and sleeps in a replacement of rlp_cold. Set "reader" to the
# file with its output.
stacked() {
	echo N >$COLD/awake
	reader=$(mktemp)
	cat "$TARGET/$1" >"$reader" &
	expect_asleep 1
}

# woken TEXT: the task must read TEXT when it has been woken.
woken() {
	echo Y >$COLD/awake
	wait
	expect_file "$reader" "$1"
	rm "$reader"
}

if has_symbol new_one_show.cold rlp_cold; then
	stacked one
	load_module rlp_patch_b says=b funcs=rlp_target:one_show
	blocked_by cat new_one_show.cold rlp_patch_b
	woken "new one"
	wait_settled rlp_patch_b
	expect_file $TARGET/one b
	unload_patch rlp_patch_b
	expect_file $TARGET/one "new one"
	pass "a task sleeps below the .cold part of a replacement, and another patch replaces the function"
else
	untested "the .cold part of a replacement: the compiler made none"
fi

stacked two
load_module rlp_patch_b says=b funcs=rlp_target:two_show
blocked_by cat "(tail_sleep|tail|new_two_show)" rlp_patch_b
woken "new two"
wait_settled rlp_patch_b
expect_file $TARGET/two b
unload_patch rlp_patch_b
pass "a task sleeps in a function that a replacement has called by a tail call"

# A task sleeps in code of rlp_cold. The replacement of two_show() does not reach this code, so the
# task does not block a transition that changes two_show().
stacked sleep
load_patch rlp_patch_b says=b funcs=rlp_target:two_show
expect_file $TARGET/two b
unload_patch rlp_patch_b
load_module rlp_patch_b says=b funcs=rlp_target:sleep_show
blocked_by cat new_sleep_show rlp_patch_b
woken "new sleep"
wait_settled rlp_patch_b
unload_patch rlp_patch_b
pass "a task sleeps in another function of the same patch, and blocks only its own"

unload_patch rlp_cold
expect_unchanged
finish
