#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A task that sleeps interruptibly in a patched function is nudged after three seconds, and then
# every 15 seconds. Its system call is restarted, and calls the new function.

set -e
. "$(dirname "$0")/moves.sh"
load_moves

start_process inside int sleeper
load_module moves_patch1
expect_blocker moves_patch1 sleeper inside moves_inside
wait_settled moves_patch1 10
took=$(cat "$P1/transition_us")
((took > 2900000)) || fail "nudged too early, after $took us"
kill -0 $process_pid || fail "the restarted system call has ended"
note "a process that sleeps in the function: patched in $took us"

echo 0 >"$P1/enabled"
expect_blocker moves_patch1 sleeper inside new_inside
wait_gone_and_unload moves_patch1 10
kill -0 $process_pid || fail "the restarted system call has ended"
note "a process that sleeps in the replacement"

# A kthread is nudged as well, and may leave the function then.
start_kthread k-once inside once
load_module moves_patch1
expect_blocker moves_patch1 k-once inside moves_inside
wait_settled moves_patch1 10
took=$(cat "$P1/transition_us")
((took > 2900000)) || fail "nudged too early, after $took us"
note "a kthread that leaves the function when it is nudged: patched in $took us"
unload_patch moves_patch1

# A kthread that sleeps again at once still blocks. The first nudge wakes it once, and the next
# nudge follows 15 seconds later.
sleeps() { # PID: print how often the task has gone to sleep
	sed -n 's/^voluntary_ctxt_switches:[[:space:]]*//p' "/proc/$1/status"
}

start_kthread k-int inside int
begun=$SECONDS least=1
load_module moves_patch1
expect_blocker moves_patch1 k-int inside moves_inside
read -r kthread _ < <(grep ' k-int ' "$P1/blockers")
before=$(sleeps "$kthread")
# On a slow machine, the first nudge may have been sent before the count was read above.
((SECONDS - begun < 3)) || least=0
sleep 8
nudges=$(($(sleeps "$kthread") - before))
most=$((1 + (SECONDS - begun) / 15))
((nudges >= least && nudges <= most)) ||
	fail "nudged $nudges times in $((SECONDS - begun)) s, not $least to $most times"
expect_blocker moves_patch1 k-int inside moves_inside
note "a kthread that sleeps again was nudged $nudges times in $((SECONDS - begun)) s"

# A reversal restarts the three seconds until the first nudge. The process was nudged above, and
# sleeps in the replacement.
expect_one_blocker "after the first nudge"
begun=${EPOCHREALTIME/[.,]/}
echo 0 >"$P1/enabled"
expect_blocker moves_patch1 sleeper inside new_inside
wait_gone_and_unload moves_patch1 20
took=$((${EPOCHREALTIME/[.,]/} - begun))
((took > 2900000)) || fail "nudged too early after the reversal, after $took us"
kill -0 $process_pid || fail "the restarted system call has ended"
note "a process that sleeps in the replacement at a reversal: unpatched in $took us"

load_module moves_patch1
expect_blocker moves_patch1 k-int inside moves_inside
release
wait $process_pid
wait_settled moves_patch1
unload_patch moves_patch1
expect_no_mixed
