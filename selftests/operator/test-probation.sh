#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A patch that is not confirmed in time is taken back. A cumulative patch falls back to the patches
# that it has replaced.
# timeout: 300

set -e
. "$(dirname "$0")/operator.sh"

start_with probation=3
probation=/sys/module/rust_livepatch/parameters/probation
watch uevents uevents
remember_state

new_log
load_patch rlp_patch_a funcs=rlp_target:one_show says=a
expect_log "'rlp_patch_a': on probation, must be confirmed within 3 s"
expect_file $RLP/rlp_patch_a/confirmed 0
expect_file $TARGET/one a
[[ $(cat $RLP/rlp_patch_a/probation) == [123] ]] ||
	fail "probation: $(cat $RLP/rlp_patch_a/probation)"
wait_gone rlp_patch_a
expect_log "patch 'rlp_patch_a' was not confirmed within 3 s, and is taken back"
expect_seen uevents '^uevent complete probation rlp_patch_a '
expect_seen uevents '^uevent expire probation rlp_patch_a '
expect_seen uevents '^uevent leave disabled rlp_patch_a '
unload_module rlp_patch_a
expect_unchanged
pass "a patch that nobody confirms is taken back"

# Each write makes functions settle again. It may not delay the end of a probation.
load_patch rlp_patch_a funcs=rlp_target:one_show says=a
for ((i = 0; i < 150; i++)); do
	[[ -e $RLP/rlp_patch_a ]] || break
	echo Y >/sys/module/rust_livepatch/parameters/promote
	nap 0.1
done
[[ ! -e $RLP/rlp_patch_a ]] || fail "writes to the parameter promote keep the patch in effect"
unload_module rlp_patch_a
expect_unchanged
pass "writes to the parameter promote do not delay the end of a probation"

load_patch rlp_patch_a funcs=rlp_target:one_show,rlp_target:two_show says=a
expect_fail EINVAL write 0 $RLP/rlp_patch_a/confirmed
expect_fail EINVAL write junk $RLP/rlp_patch_a/confirmed
echo 1 >$RLP/rlp_patch_a/confirmed
expect_seen uevents '^uevent confirm enabled rlp_patch_a '
expect_log "'rlp_patch_a': confirmed"
expect_file $RLP/rlp_patch_a/confirmed 1
expect_file $RLP/rlp_patch_a/probation 0
echo 1 >$RLP/rlp_patch_a/confirmed
sleep 5
expect_file $RLP/rlp_patch_a/enabled 1
pass "a confirmed patch stays"

# The cumulative patch does not replace two_show(): the original runs while the patch is on
# probation, and the older replacement runs again afterwards.
read_file $TARGET/two
expect "$REPLY" a $TARGET/two
echo 20 >$probation
load_patch rlp_patch_b replace=Y funcs=rlp_target:one_show says=b
expect_file $TARGET/one b
read_file $TARGET/two
[[ $REPLY != a ]] || fail "a patch that was replaced is still in effect"
expect_file $RLP/rlp_patch_a/enabled 0
expect_file $RLP/rlp_patch_a/transition 0
expect_in_use rlp_patch_a
new_log
expect_fail EBUSY write 1 $RLP/rlp_patch_a/enabled
expect_log "patch 'rlp_patch_a' cannot be enabled: 'rlp_patch_b' has replaced it and is on probation"
expect_load_fail EBUSY rlp_patch_c funcs=rlp_target:one_show
expect_log "patch 'rlp_patch_c' cannot be enabled: 'rlp_patch_b' is on probation, confirm or disable it first"
wait_gone rlp_patch_b
expect_seen uevents '^uevent restore enabled rlp_patch_a '
expect_log "'rlp_patch_a': in effect again"
expect_file $TARGET/one a
expect_file $TARGET/two a
expect_file $RLP/rlp_patch_a/enabled 1
expect_file $RLP/rlp_patch_a/confirmed 1
unload_module rlp_patch_b
pass "a cumulative patch that nobody confirms falls back to what it replaced"

load_patch rlp_patch_b replace=Y funcs=rlp_target:one_show says=b
patch_off rlp_patch_b
expect_file $TARGET/one a
unload_module rlp_patch_b
pass "a cumulative patch that is disabled on probation falls back, too"

load_patch rlp_patch_b replace=Y funcs=rlp_target:one_show says=b
echo 1 >$RLP/rlp_patch_b/confirmed
wait_gone rlp_patch_a
unload_module rlp_patch_a
expect_file $TARGET/one b
pass "the replaced patches leave when the cumulative patch is confirmed"
unload_patch rlp_patch_b

# A blocker holds up the removal. The patch is confirmed meanwhile: the removal is reversed.
echo 3 >$probation
load_patch rlp_patch_a funcs=rlp_target:one_show says=a
echo 1 >$RLP/rlp_patch_a/confirmed
load_patch rlp_patch_b replace=Y funcs=rlp_target:one_show,rlp_target:two_show=doze says=b
doze_in rlp_patch_b two
expect_seen uevents '^uevent expire probation rlp_patch_b ' 20
wait_until "[[ \$(cat $RLP/rlp_patch_b/enabled) == 0 ]]" || fail "the patch is not taken back"
echo 1 >$RLP/rlp_patch_b/confirmed
wait_gone rlp_patch_a
expect_file $RLP/rlp_patch_b/enabled 1
stop_dozing
expect_file $TARGET/one b
unload_module rlp_patch_a
unload_patch rlp_patch_b
expect_unchanged
pass "a patch is confirmed while it is taken back"

# Another patch hangs in its transition. It may not keep a patch that nobody confirms in effect.
reversed="the transition is reversed, because 'rlp_patch_a' was not confirmed in time"
echo 5 >$probation
load_patch rlp_patch_a funcs=rlp_target:one_show says=a
fall_asleep
sleeper=$!
new_log
load_module rlp_patch_b funcs=rlp_target:sleep_show
expect_file $RLP/rlp_patch_b/confirmed 0
wait_gone rlp_patch_b
wait_gone rlp_patch_a
expect_log "patch 'rlp_patch_b': $reversed"
expect_log "patch 'rlp_patch_b': blocked by cat \\($sleeper\\) inside sleep_show$"
expect_log "patch 'rlp_patch_a' was not confirmed within 5 s, and is taken back"
wake_up
unload_module rlp_patch_b
unload_module rlp_patch_a
expect_unchanged
pass "a patch is taken back although the transition of another one hangs"

load_patch rlp_patch_a funcs=rlp_target:one_show says=a
fall_asleep
new_log
load_module rlp_patch_b funcs=rlp_target:sleep_show
echo 1 >$RLP/rlp_patch_a/confirmed
sleep 13
expect_file $RLP/rlp_patch_b/transition 1
! log_has "$reversed" || fail "a transition is reversed although nothing has to be taken back"
wake_up
wait_settled rlp_patch_b
echo 1 >$RLP/rlp_patch_b/confirmed
unload_patch rlp_patch_b
unload_patch rlp_patch_a
expect_unchanged
pass "a confirmed patch lets the transition of another one go on"

# Patches that break the machine. The first patch breaks execve: while it is enabled, no program can
# be started, so the shell only uses its builtins.
refuses_exec() {
	! (exec true) 2>/dev/null
}

echo 5 >$probation
load_module rlp_patch_a "funcs=:$(syscall_function execve)=deny"
wait_until refuses_exec || fail "execve still works"
wait_until "[[ ! -e $RLP/rlp_patch_a ]]" 60 || fail "the patch is not taken back"
true | cat || fail "execve is still broken"
unload_module rlp_patch_a
pass "a patch that breaks execve is taken back"

load_module rlp_patch_a "funcs=:$(syscall_function socket)=deny"
wait_settled rlp_patch_a
! watch_patches uevents >/dev/null 2>&1 || fail "sockets still work"
wait_gone rlp_patch_a
watch again uevents
unload_module rlp_patch_a
pass "a patch that breaks sockets is taken back"

# run_agent: run a program that reads a file of the target and then confirms the patch. The kernel
# names the task "agent".
ln -s "$(command -v bash)" "$seen/agent"
run_agent() {
	"$seen/agent" -c "read -r line <$TARGET/one; echo 1 >$RLP/rlp_patch_a/confirmed"
}

echo 60 >$probation
load_patch rlp_patch_a funcs=rlp_target:one_show
run_agent
expect_file $RLP/rlp_patch_a/confirmed 1
unload_patch rlp_patch_a
echo 5 >$probation
load_patch rlp_patch_a funcs=rlp_target:one_show=kill kills=agent
status=0
run_agent || status=$?
expect $status $((128 + 9)) "status of the agent"
expect_file $RLP/rlp_patch_a/confirmed 0
wait_gone rlp_patch_a
unload_module rlp_patch_a
pass "a patch that kills its agent is taken back"

# A patch is held, because a patch on probation has replaced it. Meanwhile the target module of the
# held patch is loaded. The held patch has no effect on the module until the patch is restored.
echo 8 >$probation
unload_module rlp_target
load_patch rlp_patch_a funcs=rlp_target:one_show says=a
echo 1 >$RLP/rlp_patch_a/confirmed
load_patch rlp_patch_b replace=Y funcs=:cmdline_proc_show says=b
load_module rlp_target
read_file $TARGET/one
[[ $REPLY != a ]] || fail "a held patch is in effect in a module that was loaded"
wait_gone rlp_patch_b
expect_file $TARGET/one a
unload_module rlp_patch_b
unload_patch rlp_patch_a
pass "a held patch takes effect in a late module when it is restored"

# Nothing is left to fall back to if the module of a held patch is unloaded by force.
echo 60 >$probation
load_patch rlp_patch_a funcs=rlp_target:one_show,rlp_target:two_show says=a
echo 1 >$RLP/rlp_patch_a/confirmed
load_patch rlp_patch_b replace=Y funcs=rlp_target:one_show says=b
if rmmod -f rlp_patch_a; then
	[[ ! -e $RLP/rlp_patch_a ]] || fail "the directory of a module that is gone is left"
	expect_file $TARGET/one b
	patch_off rlp_patch_b
	[[ $(cat $TARGET/one) != [ab] ]] || fail "a patch that is gone is in effect"
	unload_module rlp_patch_b
	pass "a held patch is unloaded by force"
else
	untested "rmmod -f: the kernel has no CONFIG_MODULE_FORCE_UNLOAD"
fi
finish
