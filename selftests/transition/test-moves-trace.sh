#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Tracers and probes on a function while it is patched and unpatched. In handler mode they see:
#
#	function tracer, function graph tracer, kprobe and kretprobe at the entry:
#		every call of any version; a kretprobe gets the return value of that version
#	kprobe inside the original function: nothing while the function is patched
#	kprobe or function tracer on the replacement: calls of it

set -e
. "$(dirname "$0")/moves.sh"
tracing=/sys/kernel/tracing
[[ -e $tracing/current_tracer && -e $tracing/kprobe_events ]] || skip "no tracers"
load_moves
# Jumps have tests of their own.
promote=/sys/module/rust_livepatch/parameters/promote
[[ ! -e $promote ]] || { was=$(cat $promote) && echo 0 >$promote; }

reset_tracing() {
	echo nop >$tracing/current_tracer
	echo >$tracing/set_ftrace_filter
	echo >$tracing/set_graph_function
	echo 0 >$tracing/events/enable
	echo >$tracing/kprobe_events
	echo >$tracing/trace
	[[ ! $was ]] || echo "$was" >$promote
} 2>/dev/null
trap 'status=$?; reset_tracing; moves_end $status' EXIT

# seen PATTERN: make three calls, and print how many lines of the trace match.
seen() {
	echo >$tracing/trace
	for _ in 1 2 3; do moves put $MOVES/pair "1 none"; done
	grep -cE "$1" $tracing/trace || true
}

expect_seen() { # COUNT PATTERN WHAT
	local n

	n=$(seen "$2")
	((n == $1)) || {
		grep -v '^#' $tracing/trace | head -n 20
		fail "$3: $n lines match '$2', not $1"
	}
}

patch_session() {
	load_module moves_patch1
	wait_settled moves_patch1
	expect_version 1
}

# expect_around COUNT0 COUNT1 PATTERN WHAT: COUNT0 lines must match before the function is patched
# and after it was unpatched, and COUNT1 lines while it is patched.
expect_around() {
	expect_seen "$1" "$3" "$4, before"
	patch_session
	expect_seen "$2" "$3" "$4, patched"
	unload_patch moves_patch1
	expect_version 0
	expect_seen "$1" "$3" "$4, after"
	note "$4: sees $1 of 3 calls, and $2 when patched"
}

echo moves_session >$tracing/set_ftrace_filter
echo function >$tracing/current_tracer
expect_around 3 3 'moves_session <-' "function tracer"
patch_session
echo nop >$tracing/current_tracer
echo function >$tracing/current_tracer
expect_seen 3 'moves_session <-' "function tracer, started when patched"
echo new_session >$tracing/set_ftrace_filter
expect_seen 3 'new_session <-' "function tracer on the replacement"
echo nop >$tracing/current_tracer
unload_patch moves_patch1

echo 'moves_session moves_step moves_count_call' | tr ' ' '\n' >$tracing/set_ftrace_filter
echo function_graph >$tracing/current_tracer
expect_around 3 3 'moves_session( \[moves_target\])?\(\) \{' "function graph tracer"
patch_session
echo nop >$tracing/current_tracer
echo function_graph >$tracing/current_tracer
expect_seen 3 'moves_step( \[moves_target\])?\(\);' "function graph tracer, started when patched"
# The function is patched while a task sleeps in it. On the task's stack, the tracer has replaced
# the return address.
unload_patch moves_patch1
start_process inside unint straggler
echo moves_inside >>$tracing/set_ftrace_filter
start_process pair "2 unint" second
load_module moves_patch1
expect_blocker moves_patch1 straggler inside moves_inside
expect_blocker moves_patch1 second inside moves_session
wait_until "release; [[ \$(cat $MOVES/waiting) == 0 ]]"
wait_settled moves_patch1
expect_version 1
expect_no_mixed
note "function graph tracer on the stack: the unwinder finds the real return address"
unload_patch moves_patch1
echo nop >$tracing/current_tracer
echo >$tracing/set_ftrace_filter

probe() { # EVENT DEFINITION
	echo "$2" >$tracing/kprobe_events
	echo 1 >"$tracing/events/kprobes/$1/enable"
}

unprobe() {
	echo 0 >$tracing/events/kprobes/enable
	echo >$tracing/kprobe_events
}

for when in before after; do
	[[ $when == before ]] || patch_session
	probe at_entry 'p:at_entry moves_target:moves_session'
	if [[ $when == before ]]; then expect_around 3 3 'at_entry' "kprobe at the entry"; else
		expect_seen 3 'at_entry' "kprobe at the entry, set when patched"
	fi
	unprobe

	probe at_return 'r:at_return moves_target:moves_session version=$retval:u32'
	if [[ $when == before ]]; then
		expect_around 3 0 'at_return.*version=0' "kretprobe with a return value of 0"
		expect_around 0 3 'at_return.*version=1' "kretprobe with a return value of 1"
		# The function is patched while a task sleeps in it. On the task's stack, the
		# probe has replaced the return address.
		start_process pair "2 unint" straggler
		load_module moves_patch1
		expect_blocker moves_patch1 straggler inside moves_session
		wait_until "release; [[ \$(cat $MOVES/waiting) == 0 ]]"
		wait_settled moves_patch1
		unload_patch moves_patch1
		expect_no_mixed
		note "kretprobe on the stack: the unwinder finds the real return address"
	else
		expect_seen 3 'at_return.*version=1' "kretprobe, set when patched"
	fi
	unprobe

	probe_inside within moves_target:moves_session
	echo 1 >$tracing/events/kprobes/within/enable
	if [[ $when == before ]]; then expect_around 3 0 'within' "kprobe at offset $REPLY"; else
		expect_seen 0 'within' "kprobe inside, set when patched"
	fi
	unprobe

	[[ $when == before ]] || {
		probe of_new 'p:of_new moves_patch1:new_session'
		expect_seen 3 'of_new' "kprobe on the replacement"
		unprobe
		unload_patch moves_patch1
	}
done
expect_no_mixed
