#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# ftrace shuts itself down while it registers the ops that a patch has for itself. A function may be
# hooked then, although the registration has failed. So the loader cannot be unloaded any more.
# Nothing can be patched after this test: it is the last test of its guest.
# guest: quiet

set -e
. "$(dirname "$0")/../lib/patches.sh"
[[ ${RLP_GUEST:-} ]] ||
	skip "it shuts ftrace down, and this machine is not a guest for the tests"
own_loader
needs_gate

# Without this function, each patch has an ops of its own.
load_module rust_livepatch without=ftrace_find_rec_direct
load_module rlp_ftrace_dead
users=$(</sys/module/rust_livepatch/refcnt)
new_log
expect_load_fail ENODEV rlp_patch_a funcs=:cmdline_proc_show
expect_file /sys/module/rlp_ftrace_dead/parameters/done Y
expect "$(</sys/module/rust_livepatch/refcnt)" $((users + 1)) "the loader's reference count"
expect_log "ftrace has shut itself down: the loader cannot be unloaded any more"
! rmmod rust_livepatch 2>/dev/null || fail "the loader was unloaded, and a function may call it"
[[ ! -e $RLP/rlp_patch_a ]] || fail "rlp_patch_a has a directory"
! grep -q patched /proc/cmdline || fail "/proc/cmdline is patched"
pass "the patch is refused, and the loader cannot be unloaded"

# ftrace changes nothing any more, so no further reference is needed.
expect_load_fail ENODEV rlp_patch_a funcs=:cmdline_proc_show
expect "$(</sys/module/rust_livepatch/refcnt)" $((users + 1)) "the loader's reference count"
unload_module rlp_ftrace_dead
loaded=()
pass "another patch is refused"
finish
