#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A thousand functions that jump: another patch takes their place, is turned round
# while they are put back under the handler, and modules go while they come to jump.
# timeout: 400

set -e
. "$(dirname "$0")/../lib/patches.sh"
own_loader
load_loader
load_module bench_target
first=bench_rlp_1000 second=bench_rlp_again
calls=/sys/kernel/debug/bench_target/calls
loaded+=("$second")
remember_state

# How many functions of a patch jump, as the loader has it and as ftrace has it.
jumping() {
	cat $RLP/$1/bench_target/*/mode 2>/dev/null | grep -c jump || true
}

jumping_in_ftrace() {
	grep -cE "direct\(jmp\).*\[$1\]" /sys/kernel/tracing/enabled_functions || true
}

wait_jumping() { # PATCH COUNT
	wait_until "(( \$(jumping $1) == $2 ))" 30 || fail "$(jumping $1) functions of $1 jump, not $2"
	expect "$(jumping_in_ftrace $1)" $2 "what ftrace lets jump to $1"
	echo 1000 >$calls
}

start=${EPOCHREALTIME/./}
load_patch $first
wait_jumping $first 1000
settles=$(((${EPOCHREALTIME/./} - start) / 1000))
pass "1,000 functions come to jump, $settles ms after insmod"

load_patch $second replace=Y
wait_gone $first
unload_module $first
wait_jumping $second 1001
load_patch $first replace=Y
wait_gone $second
unload_module $second
wait_jumping $first 1000
pass "another patch takes the place of 1,000 that jump, and the first takes it back"

# What it is turned round by has to wait until all are under the handler. A task asleep
# in a function of the second patch alone sees to it that the transition lasts.
cat /sys/kernel/debug/bench_target/sleep >/dev/null 2>&1 &
sleeper=$!
wait_until "grep -q bench_sleeper /proc/$sleeper/stack" || fail "nobody is asleep"
new_log
insmod "$(module_file $second)" &
until { echo "turn round" >/dev/kmsg && echo 0 >$RLP/$second/enabled; } 2>/dev/null; do
	: # there is no such file yet
done
wait_gone $second
wait %%
unload_module $second
log | awk '/turn round/ { asked = NR } /starting patching/ { start = NR } /starting unpatching/ { back = NR }
	END { exit !(asked && asked < start && start < back) }' ||
	fail "it was not asked to turn round before it had started: $(log)"
kill $sleeper
wait_jumping $first 1000
pass "reversal that is asked for while 1,000 functions are put back under the handler"

# Around the time at which they come to jump, as it was seen above.
rounds=0
for ((delay = settles - 400; delay <= settles + 50; delay += 50)); do
	unload_patch $first
	load_module $first
	sleep "$(printf '%d.%03d' $((delay < 0 ? 0 : delay / 1000)) $((delay < 0 ? 0 : delay % 1000)))"
	if ((rounds++ % 2)); then
		rmmod bench_target
		load_module bench_target
		echo 1000 >$calls
	fi
	wait_settled $first
done
unload_patch $first
expect_unchanged
pass "$rounds times a patch, or what it patches, goes while functions come to jump"

load_patch $first
sleep "$(printf '%d.%03d' $(((settles - 200) / 1000)) $(((settles - 200) % 1000)))"
unload_patch $first
unload_module rust_livepatch
! grep -E 'rlp|direct\(jmp\)' /sys/kernel/tracing/enabled_functions || fail "hooks are left"
pass "and the loader right behind"
finish
