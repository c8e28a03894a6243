#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# ftrace finds something wrong and shuts itself down for good: what is hooked stays so.
# Patches can still be disabled, their targets be removed, and the loader stays, since
# calls go on coming to it. After this, nothing can be patched: the very last test.
# timeout: 120

set -e
. "$(dirname "$0")/patches.sh"
[[ ${RLP_GUEST:-} ]] || skip "it leaves a machine without ftrace, and this one is not for tests alone"
load_loader
pinned=$(</sys/module/rust_livepatch/refcnt)
echo N >/sys/module/rust_livepatch/parameters/promote
load_module rlp_target
load_patch rlp_patch_a funcs=:cmdline_proc_show,rlp_target:one_show
load_patch rlp_patch_b funcs=rlp_target:two_show
users=$(</sys/module/rust_livepatch/refcnt)
new_log
load_module rlp_ftrace_dead

expect_file $TARGET/one patched
expect_load_fail ENODEV rlp_patch_c funcs=:version_proc_show
expect "$(</sys/module/rust_livepatch/refcnt)" $((users + 1)) "the loader's reference count"
said "ftrace has shut itself down: the loader cannot be unloaded any more"
pass "no more patches, and the loader stays"

unload_patch rlp_patch_b
expect_file $TARGET/two two
pass "a patch is disabled and unloaded"

unload_module rlp_target
[[ ! -e $TARGET ]] || fail "the target is still there"
expect_file /proc/cmdline patched
pass "the target of a patch is removed"

unload_patch rlp_patch_a
read_file /proc/cmdline
[[ $REPLY != patched ]] || fail "it is still patched"
! rmmod rust_livepatch 2>/dev/null || fail "the loader is unloaded, and calls come to it"
expect_file /sys/module/rust_livepatch/refcnt $((pinned + 1))
unload_module rlp_ftrace_dead
loaded=()
pass "calls take their original way, through a loader that stays"
finish
