#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The init of a patch module fails after it has enabled its patch. The kernel frees the module
# even if there are references to it. The patch must be evicted before that, whatever its state.
# timeout: 180

set -e
. "$(dirname "$0")/../lib/patches.sh"
load_loader
load_module rlp_target
remember_state
hold=/sys/module/rlp_patch_a/parameters/hold

# failing FUNCS: load rlp_patch_a in the background. Its init enables the patch, waits, and then
# fails. Return when the patch is enabled.
failing() {
	new_log
	expect_load_fail ENODEV rlp_patch_a fail=-19 hold=Y "funcs=$1" &
	insmod_pid=$!
	wait_until "[[ -e $RLP/rlp_patch_a/enabled ]]" || fail "rlp_patch_a is not enabled"
}

# all_gone WHAT: the init of rlp_patch_a must have failed, and nothing may be left.
all_gone() {
	wait "$insmod_pid" || fail "$1: see above"
	expect_log "patch 'rlp_patch_a' is still registered while its module is being unloaded"
	[[ ! -e /sys/module/rlp_patch_a ]] || fail "$1: the module is still loaded"
	expect_unchanged
	expect_file $TARGET/one one
	pass "$1"
}

# not_forced PATCH: force must be refused. Force would remove rlp_patch_a, and no reference
# could prevent the kernel from freeing its module.
not_forced() {
	expect_fail EBUSY write 1 "$RLP/$1/force"
	expect_log "patch '$1' cannot be forced: module 'rlp_patch_a' is being initialized or unloaded"
	expect_file "$RLP/$1/transition" 1
}

for ((i = 0; i < 5; i++)); do
	expect_load_fail ENODEV rlp_patch_a fail=-19 funcs=:cmdline_proc_show,rlp_target:one_show
	expect_unchanged
	expect_file $TARGET/one one
done
pass "the init fails at once"

mode=$RLP/rlp_patch_a/rlp_target/one_show,1/mode
failing rlp_target:one_show
wait_until "read_file $mode; [[ \$REPLY && \$REPLY != 'handler settling' ]]" || fail "the function does not settle"
settled=$REPLY
expect_file $TARGET/one patched
echo N >$hold
all_gone "the init fails without a transition (mode: $settled)"

fall_asleep
failing rlp_target:sleep_show,rlp_target:one_show
wait_until "[[ \$(grep -c '^[0-9]' $RLP/rlp_patch_a/blockers) == 1 ]]" || fail "the patch does not have exactly one blocker"
not_forced rlp_patch_a
echo N >$hold
all_gone "the init fails in the patch's own transition, which is reversed"
wake_up

failing rlp_target:one_show
wait_settled rlp_patch_a
fall_asleep
load_module rlp_patch_b funcs=rlp_target:sleep_show
echo N >$hold
sleep 1
kill -0 "$insmod_pid" || fail "insmod did not wait for the other patch"
expect_file $RLP/rlp_patch_b/transition 1
expect_file $RLP/rlp_patch_a/enabled 1
not_forced rlp_patch_b
echo Y >$PARAMETERS/awake
wait_settled rlp_patch_b
wait "$insmod_pid" || fail "see above"
unload_patch rlp_patch_b
all_gone "the init fails during the transition of another patch, and insmod waits for its end"

# The loader still works.
load_patch rlp_patch_a funcs=rlp_target:one_show
expect_file $TARGET/one patched
unload_patch rlp_patch_a
pass "the patch can be loaded afterwards"
finish
