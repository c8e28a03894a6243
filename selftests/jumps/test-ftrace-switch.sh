#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The sysctl kernel.ftrace_enabled, which would take every patch away at once. Since 7.3 it
# cannot be set to 0; before, it can, but not while there is a patch.
# timeout: 120

set -e
. "$(dirname "$0")/../lib/patches.sh"
switch=/proc/sys/kernel/ftrace_enabled
trap 'status=$?; echo 1 >$switch; patches_end $status' EXIT

# still_on ERRNO: the switch refuses, and what is patched stays so.
still_on() {
	expect_fail "$1" write 0 $switch
	expect_file $switch 1
	expect_file /proc/cmdline patched
}

is_off() {
	read_file $switch
	[[ $REPLY == 0 ]]
}

own_loader
load_loader
if write 0 $switch 2>/dev/null; then errno=EBUSY; else errno=EOPNOTSUPP; fi

if [[ $errno == EBUSY ]]; then
	is_off || fail "the switch was turned, and is not off"
	remember_state
	new_log
	expect_load_fail EBUSY rlp_patch_a funcs=:cmdline_proc_show
	expect_log "ftrace is switched off"
	expect_log "failed to register ftrace handler for function 'cmdline_proc_show' \(-16\)"
	expect_unchanged
	pass "no patch while ftrace is off"

	load_patch rlp_patch_a funcs=rlp_target:one_show
	expect_load_fail EBUSY rlp_target
	unload_patch rlp_patch_a
	pass "no late module for a patch while ftrace is off"

	unload_module rust_livepatch
	load_loader
	echo 1 >$switch
	pass "the loader comes and goes while ftrace is off"
fi
remember_state

load_patch rlp_patch_a funcs=:cmdline_proc_show
still_on $errno
pass "with a patch ftrace stays on"

wait_until "[[ \$(cat $RLP/rlp_patch_a/vmlinux/cmdline_proc_show,1/mode) == jump ]]"
still_on $errno
pass "with a function that jumps, too"

load_module rlp_target
load_patch rlp_patch_b funcs=rlp_target:one_show
unload_patch rlp_patch_b
still_on $errno
pass "one of two patches leaves, and ftrace stays on"

unload_patch rlp_patch_a
unload_module rlp_target
expect_unchanged
if [[ $errno == EBUSY ]]; then
	wait_until "write 0 $switch 2>/dev/null"
	is_off || fail "the switch was turned, and is not off"
	echo 1 >$switch
	pass "the last patch has left, and ftrace can be switched off"
fi
finish
