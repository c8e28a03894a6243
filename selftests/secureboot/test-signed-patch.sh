#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A loader and a patch that are signed with the enrolled key work in a locked-down kernel, with
# require_signed=1: the patched function is called by the handler and by a jump, and everything is
# undone.

set -e
. "$(dirname "$0")/secureboot.sh"
expect_lockdown integrity
patch=rust_livepatch_cmdline
mode=$RLP/$patch/vmlinux/cmdline_proc_show,1/mode
promote=/sys/module/rust_livepatch/parameters/promote
read_file /proc/cmdline
original=$REPLY

wait_mode() {
	wait_until "[[ \$(<$mode) == '$1' ]]" || fail "mode is '$(<"$mode")', not '$1'"
	expect_file /proc/cmdline "this has been live patched"
}

new_log
remember_state
load_module rust_livepatch require_signed=1
expect_file /sys/module/rust_livepatch/parameters/require_signed Y
load_patch $patch
wait_mode jump
[[ $(site cmdline_proc_show) == *'direct(jmp)'* ]] ||
	fail "it does not jump: $(site cmdline_proc_show)"
pass "a signed patch is enabled and promoted"

echo N >$promote
wait_mode 'handler off'
echo Y >$promote
wait_mode jump
pass "it is demoted and promoted again"

unload_patch $patch
expect_file /proc/cmdline "$original"
unload_module rust_livepatch
expect_unchanged
pass "patch and loader are unloaded"

# A module without a verified signature sets this bit of the taint (E), and nothing else does.
(($(</proc/sys/kernel/tainted) & 1 << 13)) && fail "the kernel is tainted by an unsigned module"
! log_has 'Lockdown|Loading of' || fail "the kernel has restricted something: $(log)"
pass "the kernel has verified each signature, and has restricted nothing"
finish
