#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A thousand promoted functions: another patch replaces them, a transition is reversed while they
# are demoted, and modules are unloaded while they are promoted.
# timeout: 400

set -e
. "$(dirname "$0")/../lib/patches.sh"
start_loader
load_module bench_target
first=bench_rlp_1000 second=bench_rlp_again
calls=/sys/kernel/debug/bench_target/calls
loaded+=("$second")
remember_state

# jumping PATCH: print how many functions of the patch jump, according to the loader.
# jumping_in_ftrace PATCH: print the same, according to ftrace.
jumping() {
	cat $RLP/$1/bench_target/*/mode 2>/dev/null | grep -c jump || true
}

jumping_in_ftrace() {
	grep -cE "direct\(jmp\).*\[$1\]" /sys/kernel/tracing/enabled_functions || true
}

wait_jumping() { # PATCH COUNT
	wait_until "(( \$(jumping $1) == $2 ))" 30 ||
		fail "$(jumping $1) functions of $1 jump, not $2"
	expect "$(jumping_in_ftrace $1)" $2 "the number of jumps to $1 in ftrace"
	echo 1000 >$calls
}

start=${EPOCHREALTIME/./}
load_patch $first
wait_jumping $first 1000
settles=$(((${EPOCHREALTIME/./} - start) / 1000))
pass "1,000 functions are promoted, $settles ms after insmod"

load_patch $second replace=Y
wait_gone $first
unload_module $first
wait_jumping $second 1001
load_patch $first replace=Y
wait_gone $second
unload_module $second
wait_jumping $first 1000
pass "another patch replaces 1,000 promoted functions, and the first patch replaces it"

# The write that reverses the transition has to wait until all functions are demoted. A task sleeps
# in a function that only the second patch replaces, so the transition cannot complete.
cat /sys/kernel/debug/bench_target/sleep >/dev/null 2>&1 &
sleeper=$!
wait_until "grep -q bench_sleeper /proc/$sleeper/stack" || fail "no task sleeps"
new_log
insmod "$(module_file $second)" &
until { echo "turn round" >/dev/kmsg && echo 0 >$RLP/$second/enabled; } 2>/dev/null; do
	: # the file does not exist yet
done
wait_gone $second
wait %%
unload_module $second
log | awk '/turn round/ { asked = NR } /starting patching/ { start = NR } /starting unpatching/ { back = NR }
	END { exit !(asked && asked < start && start < back) }' ||
	fail "the reversal was not requested before the transition started: $(log)"
kill $sleeper
wait_jumping $first 1000
pass "a transition is reversed while 1,000 functions are demoted"

# Unload at several moments around the promotion, whose time was measured above.
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
pass "$rounds times, a patch or its target is unloaded while functions are promoted"

load_patch $first
sleep "$(printf '%d.%03d' $(((settles - 200) / 1000)) $(((settles - 200) % 1000)))"
unload_patch $first
stop_loader
left=$(hooks_left 'rlp|direct[(]jmp[)]')
expect "$left" "" "the list of hooks that are left"
pass "a patch is unloaded while functions are promoted, and the loader right afterwards"
finish
