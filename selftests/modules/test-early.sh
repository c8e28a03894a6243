#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The init of a module is already running when the loader is loaded. The module's functions can be
# called, but the loader gets no notification of the load. A patch for the module waits until the
# init is done.
# timeout: 120

set -e
. "$(dirname "$0")/../lib/patches.sh"
own_loader

loaded+=(rlp_target)
insmod "$(module_file rlp_target)" init_sleep=Y &
wait_until "read_file /sys/module/rlp_target/initstate; [[ \$REPLY == coming ]]" ||
	fail "its init does not wait"
load_loader
remember_state
insmod "$(module_file rlp_patch_a)" funcs=rlp_target:one_show &
patch=$!
loaded+=(rlp_patch_a)
sleep 1
kill -0 $patch || fail "the patch does not wait"
[[ ! -e $RLP/rlp_patch_a ]] || fail "the patch is already registered"
# Meanwhile other patches can be loaded and unloaded.
load_patch rlp_patch_b funcs=:cmdline_proc_show
unload_patch rlp_patch_b

echo Y >$PARAMETERS/awake
wait $patch
wait_settled rlp_patch_a
expect_file "$RLP/rlp_patch_a/rlp_target/patched" 1
expect_file $TARGET/one patched
expect_file $PARAMETERS/at_init one
unload_patch rlp_patch_a
expect_file $TARGET/one one
pass "a patch waits for a module that was loading before the loader"
unload_module rlp_target
finish
