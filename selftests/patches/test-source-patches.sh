#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Live patches that were built from source patches load, take effect and unload. The last run of
# scripts/checks/test-livepatch.sh has built them.

set -e
. "$(dirname "$0")/../lib/patches.sh"
[[ -d $RLP_MODULES/source ]] || skip "scripts/checks/test-livepatch.sh has not been run"
load_loader
remember_state

RLP_MODULES+=/source
read_file /proc/cmdline
check_patch src_cmdline /proc/cmdline "live patched: $REPLY"

# effect PATCH FILE PATTERN: the content of the file must match the pattern while the patch is
# loaded, and must not match it afterwards.
effect() {
	load_patch "$1"
	read_file "$2"
	# shellcheck disable=SC2053 # a pattern
	[[ $REPLY == $3 ]] || fail "$2 reads '$REPLY' with $1, not '$3'"
	unload_patch "$1"
	read_file "$2"
	# shellcheck disable=SC2053 # a pattern
	[[ $REPLY != $3 ]] || fail "$2 reads '$REPLY' without $1"
	expect_unchanged
	pass "$1"
}

# A series of two source patches.
effect src_series /proc/cmdline "patched by a series: *"

# The patch changes two files. One of them defines a new function, with a global and a static
# variable, and both files call it. The other file also calls a function that it did not call
# before, and that is not exported.
effect src_multi /proc/version "mark 4[0-9] few Linux version *"
effect src_multi /proc/loadavg "mark 4[0-9] *"
# A function that shares its name with other functions of the kernel.
effect src_dup /proc/crypto "live patched*"
# Functions on the hottest path, with constants that the kernel writes into its text at boot.
effect src_hot /proc/version "lookups Linux version *"

# The patch changes a header: the link of each file descriptor in /proc then shows the file of the
# neighbouring descriptor.
exec 8</dev/null 9</proc/version
load_patch src_header
[[ $(readlink /proc/$$/fd/8) == /proc/version ]] || fail "the header has no effect"
unload_patch src_header
[[ $(readlink /proc/$$/fd/8) == /dev/null ]] || fail "the header still has an effect"
exec 8<&- 9<&-
expect_unchanged
pass src_header

# A system call.
umask 022
load_patch src_syscall
umask 002
[[ $(umask) == 0072 ]] || fail "umask is $(umask) with src_syscall"
unload_patch src_syscall
umask 022
[[ $(umask) == 0022 ]] || fail "umask is $(umask) without src_syscall"
expect_unchanged
pass src_syscall

# A shadow variable, and callbacks that are declared with the kernel's macros.
new_log
effect src_callback /proc/version "shadow [0-9]* Linux version *"
expect_log "source patch: pre_patch"
expect_log "source patch: post_unpatch"

# The module is loaded before its patch, and after it.
control=/proc/net/pktgen/pgctrl
load_module pktgen
read_file $control
before=$REPLY
load_patch src_module
expect_file $control "live patched"
unload_patch src_module
expect_file $control "$before"
unload_module pktgen
load_patch src_module
load_module pktgen
expect_file $control "live patched"
unload_patch src_module
expect_file $control "$before"
unload_module pktgen
expect_unchanged
pass "src_module, before and after its target"
finish
