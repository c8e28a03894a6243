#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# ftrace finds something wrong and shuts itself down for good: what is hooked stays so.
# What jumps goes on jumping, in a patch that stays; others can still be disabled, and their
# targets be removed. The loader stays, since calls go on coming to it. After this,
# nothing can be patched: the last test of its guest (test-ftrace-gone.sh is that of the
# other).
# timeout: 120

set -e
. "$(dirname "$0")/../lib/patches.sh"
[[ ${RLP_GUEST:-} ]] || skip "it leaves a machine without ftrace, and this one is not for tests alone"
load_loader
load_module rlp_target
mode=$RLP/rlp_patch_a/vmlinux/cmdline_proc_show,1/mode
load_patch rlp_patch_a funcs=:cmdline_proc_show,rlp_target:one_show
wait_until "read_file $mode; [[ \$REPLY != 'handler settling' ]]" 20 || fail "it does not settle"
jumps=$REPLY

# Another one stays under the handler: for that, something has to happen all the time.
while :; do
	echo Y >/sys/module/rust_livepatch/parameters/promote
	nap 0.1
done &
stirrer=$!
load_patch rlp_patch_b funcs=rlp_target:two_show

new_log
load_module rlp_ftrace_dead
users=$(</sys/module/rust_livepatch/refcnt)
if [[ $jumps == jump ]]; then
	expect_fail ENODEV write 0 $RLP/rlp_patch_a/enabled
	expect_log "'rlp_patch_a' stays enabled \\(-19\\)"
	expect_file $RLP/rlp_patch_a/enabled 1
	expect_file $RLP/rlp_patch_a/transition 0
	expect_file $TARGET/one patched
	expect_file /proc/cmdline patched
	expect_in_use rlp_patch_a
	pass "what jumped when ftrace died goes on jumping, and the patch stays"
else
	patch_off rlp_patch_a
	expect_file $TARGET/one one
	pass "a patch is disabled when ftrace dies"
fi
expect_file /sys/module/rlp_ftrace_dead/parameters/done Y
expect_file $RLP/rlp_patch_b/rlp_target/two_show,1/mode "handler settling"
kill $stirrer
wait $stirrer || true
expect_file $TARGET/two patched
expect_load_fail ENODEV rlp_patch_c funcs=:version_proc_show
expect "$(</sys/module/rust_livepatch/refcnt)" $((users + 1)) "the loader's reference count"
expect_log "ftrace has shut itself down: the loader cannot be unloaded any more"
pass "no more patches, and the loader stays"

unload_patch rlp_patch_b
expect_file $TARGET/two two
pass "a patch under the handler is disabled and unloaded"

unload_module rlp_target
[[ ! -e $TARGET ]] || fail "the target is still there"
[[ $jumps != jump ]] || expect_file /proc/cmdline patched
pass "the target of a patch is removed"

! rmmod rust_livepatch 2>/dev/null || fail "the loader is unloaded, and calls come to it"
unload_module rlp_ftrace_dead
loaded=()
finish
