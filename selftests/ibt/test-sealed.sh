#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# This guest catches a mistake: if the CPU enforces IBT, it raises #CP at an indirect call to a
# function that the kernel has sealed. Elsewhere the call returns. A call of a function with an
# ENDBR returns everywhere. The module whose init makes the wrong call stays in memory until the
# next boot, so this is the last test of its guest.
# expect-log: cut here|kernel BUG at arch/x86/kernel/cet\.c|Oops: invalid opcode|Call Trace

set -e
. "$(dirname "$0")/../lib/patches.sh"
[[ ${RLP_GUEST:-} ]] ||
	skip "it makes the kernel oops, and this machine is not a guest for the tests"
[[ -s $RLP_MODULES/rust_livepatch.entries ]] || skip "this kernel has no IBT"

new_log
load_module rlp_pointer what=exported
unload_module rlp_pointer
! log_has 'Missing ENDBR' || fail "the function that was called has an ENDBR"
pass "a call of a function with an ENDBR returns"

# An oops ends insmod, and not the guest.
new_log
panic_on_oops=$(</proc/sys/kernel/panic_on_oops)
echo 0 >/proc/sys/kernel/panic_on_oops
rc=0
insmod "$(module_file rlp_pointer)" what=sealed || rc=$?
echo "$panic_on_oops" >/proc/sys/kernel/panic_on_oops
expect_log 'rlp_pointer: kallsyms_lookup_name is sealed'

if grep -qw '^flags.* ibt' /proc/cpuinfo; then
	expect_log 'Missing ENDBR: kallsyms_lookup_name\+0x0/'
	expect_log 'kernel BUG at arch/x86/kernel/cet.c'
	! log_has 'rlp_pointer: the call has returned' || fail "the call has returned"
	((rc > 128)) || fail "insmod has ended with $rc, and not by a signal"
	expect_file /sys/module/rlp_pointer/initstate coming
	pass "a call of a sealed function dies of #CP"
else
	expect $rc 0 "the status of insmod"
	expect_log 'rlp_pointer: the call has returned 0'
	! log_has 'Missing ENDBR' || fail "the CPU has found a missing ENDBR without IBT"
	rmmod rlp_pointer
	untested "the call of a sealed function dies: this CPU does not enforce IBT"
fi
finish
