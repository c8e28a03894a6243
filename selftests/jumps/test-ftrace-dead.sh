#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# ftrace detects an error and shuts itself down until the next boot: hooked functions stay
# hooked. Promoted functions keep jumping, and their patch stays enabled. Other patches can still
# be disabled, and their targets unloaded. The loader cannot be unloaded, since hooked functions
# still call it. Nothing can be patched after this test: it is the last test of its guest.
# timeout: 120

set -e
. "$(dirname "$0")/../lib/patches.sh"
[[ ${RLP_GUEST:-} ]] ||
	skip "it shuts ftrace down, and this machine is not a guest for the tests"
! loader_is_built_in || skip "the loader is built into this kernel, and is never unloaded"
# On debug kernels, load the loader without the functions that promote in batches: this tests the
# jumps that are registered one by one.
is_loaded rust_livepatch ||
	load_module rust_livepatch ${RLP_DEBUG:+'without=update_ftrace_direct_*'}
load_module rlp_target
mode=$RLP/rlp_patch_a/vmlinux/cmdline_proc_show,1/mode
load_patch rlp_patch_a funcs=:cmdline_proc_show,rlp_target:one_show
wait_until "read_file $mode; [[ \$REPLY != 'handler settling' ]]" 20 ||
	fail "the function does not settle"
jumps=$REPLY

# Keep the function of the second patch under the handler: writing the parameter all the time
# keeps it from settling.
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
	expect_log "patch 'rlp_patch_a' was not disabled \\(-19\\)"
	expect_file $RLP/rlp_patch_a/enabled 1
	expect_file $RLP/rlp_patch_a/transition 0
	expect_file $TARGET/one patched
	expect_file /proc/cmdline patched
	expect_in_use rlp_patch_a
	pass "functions that jumped when ftrace shut down keep jumping, and the patch stays"
else
	patch_off rlp_patch_a
	expect_file $TARGET/one one
	pass "a patch can be disabled when ftrace shuts down"
fi
expect_file /sys/module/rlp_ftrace_dead/parameters/done Y
expect_file $RLP/rlp_patch_b/rlp_target/two_show,1/mode "handler settling"
kill $stirrer
wait $stirrer || true
expect_file $TARGET/two patched
expect_load_fail ENODEV rlp_patch_c funcs=:version_proc_show
expect "$(</sys/module/rust_livepatch/refcnt)" $((users + 1)) "the loader's reference count"
expect_log "ftrace has shut itself down: the loader cannot be unloaded any more"
pass "no patch can be enabled any more, and the loader cannot be unloaded"

unload_patch rlp_patch_b
expect_file $TARGET/two two
pass "a patch whose functions are under the handler is disabled and unloaded"

unload_module rlp_target
[[ ! -e $TARGET ]] || fail "$TARGET still exists"
[[ $jumps != jump ]] || expect_file /proc/cmdline patched
pass "the target of a patch is unloaded"

! rmmod rust_livepatch 2>/dev/null || fail "the loader was unloaded, and hooked functions call it"
unload_module rlp_ftrace_dead
loaded=()
finish
