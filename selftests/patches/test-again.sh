#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A module may enable its patch again after the patch was disabled. As long as the directory of
# the patch still exists, this is too early, and fails.

set -e
. "$(dirname "$0")/../lib/patches.sh"
load_loader
load_module rlp_target
again=/sys/module/rlp_patch_a/parameters/again
load_patch rlp_patch_a funcs=rlp_target:one_show

for ((i = 0; i < 10; i++)); do
	patch_off rlp_patch_a
	expect_file $TARGET/one one
	echo 1 >$again
	wait_settled rlp_patch_a
	expect_file $TARGET/one patched
done
pass "enabled again ten times, when its directory is gone"

new_log
early=0
for ((i = 0; i < 10; i++)); do
	echo 0 >"$RLP/rlp_patch_a/enabled"
	deadline=$((SECONDS + 30))
	until { echo 1 >$again; } 2>/dev/null; do
		early=$((early + 1))
		((SECONDS < deadline)) || fail "the patch cannot be enabled again"
	done
	wait_settled rlp_patch_a
	expect_file $TARGET/one patched
done
expect_log "patch 'rlp_patch_a' cannot be enabled: its old directory is not removed yet"
pass "enabled again ten times as soon as possible ($early times too early)"
unload_patch rlp_patch_a

# When a patch is replaced, its unpatch callbacks are not called. Here the patch is then enabled
# again, and refused. The loader must not call any callback of an object whose pre-patch callback
# was not called: the callbacks would warn.
load_patch rlp_patch_a shape=pairs funcs=:cmdline_proc_show,rlp_target:one_show
load_patch rlp_patch_b replace=Y funcs=rlp_target:two_show
wait_gone rlp_patch_a
unload_patch rlp_patch_b
remember_state
for refuse in 0 1; do
	echo $refuse >/sys/module/rlp_patch_a/parameters/refuse
	expect_fail ENOMEM write 1 $again
	expect_unchanged
done
echo -1 >/sys/module/rlp_patch_a/parameters/refuse
echo 1 >$again
wait_settled rlp_patch_a
expect_file $TARGET/one patched
unload_patch rlp_patch_a
pass "enabled again after it was replaced, and refused at first"

# Callbacks walk the lists of their patch with the macros of the kernel's header, as they can with
# in-tree livepatch. The loader makes the lists anew each time that the patch is enabled. The
# callbacks warn if a list does not have the entries of its array.
load_patch rlp_patch_a shape=lists \
	funcs=:cmdline_proc_show,rlp_target:one_show,rlp_target:two_show,absent:any
patch_off rlp_patch_a
for cause in disabled replaced; do
	echo 1 >$again
	wait_settled rlp_patch_a
	expect_file $TARGET/two patched
	if [[ $cause == disabled ]]; then
		patch_off rlp_patch_a
	else
		load_patch rlp_patch_b replace=Y funcs=rlp_target:one_show
		wait_gone rlp_patch_a
		unload_patch rlp_patch_b
	fi
done
unload_module rlp_patch_a
pass "callbacks walk the lists of objects and functions, also of a patch that is enabled again"
finish
