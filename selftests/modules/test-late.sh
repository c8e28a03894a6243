#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A patch and its target are loaded and unloaded, in every order.
# timeout: 300

set -e
. "$(dirname "$0")/../lib/patches.sh"
load_loader
remember_state
patched=$RLP/rlp_patch_a/rlp_target/patched

# p, t: load the patch, load its target. P, T: unload it.
for order in "p t P T" "p t T P" "t p P T" "t p T P" "p t T t P T" "t p T t T P"; do
	p=0 t=0
	for step in $order; do
		case $step in
		p) load_patch rlp_patch_a funcs=rlp_target:one_show && p=1 ;;
		P) unload_patch rlp_patch_a && p=0 ;;
		t) load_module rlp_target && t=1 ;;
		T) unload_module rlp_target && t=0 ;;
		esac
		((p == 0)) || expect_file "$patched" $t
		case $p$t in
		01) expect_file $TARGET/one one ;;
		11) expect_file $TARGET/one patched ;;
		esac
	done
	expect_unchanged
	pass "patch and target: $order"
done

load_patch rlp_patch_a funcs=rlp_target:one_show
load_module rlp_target
expect_file $PARAMETERS/at_init patched
unload_module rlp_target
pass "a late module is patched before its init runs"

# The init of a target fails: the patch shows the target as absent, and nothing of the target is
# left.
remember_state
new_log
expect_load_fail ENOMEM rlp_target init_ret=-12
expect_log "applying patch 'rlp_patch_a' to loading module 'rlp_target'"
expect_log "reverting patch 'rlp_patch_a' on unloading module 'rlp_target'"
expect_file "$patched" 0
expect_unchanged
load_module rlp_target
expect_file $TARGET/one patched
unload_patch rlp_patch_a
unload_module rlp_target
pass "a target whose init fails, and then succeeds"

load_patch rlp_patch_a says=a funcs=rlp_target:one_show,rlp_target:two_show
load_patch rlp_patch_b says=b funcs=rlp_target:one_show
load_module rlp_target
expect_file $TARGET/one b
expect_file $TARGET/two a
unload_patch rlp_patch_a
expect_file $TARGET/one b
expect_file $TARGET/two two
unload_module rlp_target
load_module rlp_target
expect_file $TARGET/one b
unload_patch rlp_patch_b
expect_file $TARGET/one one
unload_module rlp_target
pass "two patches for one late module"

# A target may be loaded and unloaded during a transition of its patch.
load_module rlp_target
fall_asleep
load_module rlp_patch_a funcs=rlp_target:sleep_show,livepatch_sample_target:greeting_show
sleep 0.2
expect_file "$RLP/rlp_patch_a/transition" 1
load_module livepatch_sample_target
expect_file "$RLP/rlp_patch_a/livepatch_sample_target/patched" 1
unload_module livepatch_sample_target
expect_file "$RLP/rlp_patch_a/livepatch_sample_target/patched" 0
load_module livepatch_sample_target
wake_up
wait_settled rlp_patch_a
expect_file /proc/livepatch_sample/greeting patched
unload_patch rlp_patch_a
expect_file /proc/livepatch_sample/greeting "greetings from the target"
unload_module livepatch_sample_target
unload_module rlp_target
pass "a target is loaded and unloaded during a transition of its patch"
finish
