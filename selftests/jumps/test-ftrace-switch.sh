#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The sysctl kernel.ftrace_enabled, which would disable every patch at once. Since 7.3 it cannot
# be set to 0. Older kernels refuse that only while there is a patch.
# timeout: 120

set -e
. "$(dirname "$0")/../lib/patches.sh"
switch=/proc/sys/kernel/ftrace_enabled
trap 'status=$?; echo 1 >$switch; patches_end $status' EXIT

# still_on ERRNO: a write of 0 to the sysctl must fail with ERRNO, and patched functions must stay
# patched.
still_on() {
	expect_fail "$1" write 0 $switch
	expect_file $switch 1
	expect_file /proc/cmdline patched
}

is_off() {
	read_file $switch
	[[ $REPLY == 0 ]]
}

start_loader
if write 0 $switch 2>/dev/null; then errno=EBUSY; else errno=EOPNOTSUPP; fi

if [[ $errno == EBUSY ]]; then
	is_off || fail "the sysctl was set to 0, but is not 0"
	remember_state
	new_log
	expect_load_fail EBUSY rlp_patch_a funcs=:cmdline_proc_show
	expect_log "ftrace is switched off"
	expect_log "failed to register ftrace handler for function 'cmdline_proc_show' \(-16\)"
	expect_unchanged
	pass "no patch can be enabled while ftrace is off"

	load_patch rlp_patch_a funcs=rlp_target:one_show
	expect_load_fail EBUSY rlp_target
	unload_patch rlp_patch_a
	pass "no late module of a patch can be loaded while ftrace is off"

	stop_loader
	start_loader
	echo 1 >$switch
	pass "the loader can be unloaded and loaded while ftrace is off"
fi
remember_state

load_patch rlp_patch_a funcs=:cmdline_proc_show
still_on $errno
pass "ftrace cannot be switched off with a patch"

wait_until "[[ \$(cat $RLP/rlp_patch_a/vmlinux/cmdline_proc_show,1/mode) == jump ]]"
still_on $errno
pass "ftrace cannot be switched off with a promoted function"

load_module rlp_target
load_patch rlp_patch_b funcs=rlp_target:one_show
unload_patch rlp_patch_b
still_on $errno
pass "ftrace cannot be switched off after one of two patches was unloaded"

unload_patch rlp_patch_a
unload_module rlp_target
expect_unchanged
if [[ $errno == EBUSY ]]; then
	wait_until "write 0 $switch 2>/dev/null"
	is_off || fail "the sysctl was set to 0, but is not 0"
	echo 1 >$switch
	pass "ftrace can be switched off after the last patch was unloaded"
fi
finish
