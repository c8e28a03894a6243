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
	expect "$(log | grep -c "patch 'rlp_patch_a' is still registered while")" 1 \
		"$1: number of messages that the patch is still registered"
	[[ ! -e /sys/module/rlp_patch_a ]] || fail "$1: the module is still loaded"
	expect_unchanged
	expect_file $TARGET/one one
	pass "$1"
}

expect_log_soon() {
	wait_until "log_has \"$1\"" || expect_log "$1"
}

# not_forced PATCH: force must be refused. A task that was forced could still run the code of
# rlp_patch_a when the kernel frees its module. No reference keeps the kernel from freeing it.
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
wait_until "read_file $mode; [[ \$REPLY && \$REPLY != 'handler settling' ]]" ||
	fail "the function does not settle"
settled=$REPLY
expect_file $TARGET/one patched
echo N >$hold
all_gone "the init fails without a transition (mode: $settled)"

fall_asleep
failing rlp_target:sleep_show,rlp_target:one_show
wait_until "[[ \$(grep -c '^[0-9]' $RLP/rlp_patch_a/blockers) == 1 ]]" ||
	fail "the patch does not have exactly one blocker"
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

# A task stays in the patch. The notifier of the loader does not wait for the task for ever: other
# modules can be loaded, and other notifiers can be registered.
failing rlp_target:one_show=doze
wait_settled rlp_patch_a
cat $TARGET/one >/dev/null &
reader=$!
wait_until "grep -q 'doze.*rlp_patch_a' /proc/$reader/stack" || fail "no task is in the patch"
echo N >$hold
expect_log_soon "patch 'rlp_patch_a' is still registered while its module is being unloaded"
insmod "$(module_file rlp_notifier)" &
notifier=$!
loaded+=(rlp_notifier)
wait_until "[[ \$(cat /sys/module/rlp_notifier/initstate 2>/dev/null) == live ]]" 30 ||
	fail "a notifier cannot be registered while the loader waits for a task in the patch"
wait $notifier
expect_log "patch 'rlp_patch_a' is not disabled yet: the unload of its module waits"
unload_module rlp_notifier
load_module livepatch_sample_target
unload_module livepatch_sample_target
kill -0 "$insmod_pid" || fail "insmod did not wait for the task in the patch"
# The task is still in the patch, with everything that the kernel needs to walk its stack.
grep -q 'doze.*rlp_patch_a' /proc/$reader/stack || fail "the stack of the task cannot be walked"
expect_file $RLP/rlp_patch_a/transition 1
expect_file $RLP/rlp_patch_a/enabled 0
grep -q " inside doze\$" $RLP/rlp_patch_a/blockers || fail "the task is not a blocker"
# An operator cannot keep the patch.
echo 1 >$RLP/rlp_patch_a/enabled
wait_until "read_file $RLP/rlp_patch_a/enabled; [[ \$REPLY == 0 ]]" ||
	fail "the patch stays enabled"
kill -KILL $reader
wait $reader || true
all_gone "the init fails while a task is in the patch for long"

# The loader still works.
load_patch rlp_patch_a funcs=rlp_target:one_show
expect_file $TARGET/one patched
unload_patch rlp_patch_a
pass "the patch can be loaded afterwards"
finish
