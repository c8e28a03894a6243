#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Patched functions are promoted to jumps: when they are promoted, how sysfs shows it, and how
# promotion is switched off. Tracers, other patches and the unloading of modules work with
# promoted functions.
# timeout: 180

. "$(dirname "$0")/../lib/common.sh"
set -e

patch=rust_livepatch_cmdline
function=cmdline_proc_show
mode=$RLP/$patch/vmlinux/$function,1/mode
tracing=/sys/kernel/tracing
promote=/sys/module/rust_livepatch/parameters/promote
patched="this has been live patched"

is_patched() {
	[[ $(cat /proc/cmdline) == "$patched" ]] || fail "$1: /proc/cmdline is not patched"
}

is_original() {
	[[ $(cat /proc/cmdline) != "$patched" ]] || fail "$1: /proc/cmdline is still patched"
}

wait_mode() {
	wait_until "[[ \$(cat $mode) == '$1' ]]" || fail "mode is '$(cat "$mode")', not '$1'"
}

jumps() {
	[[ $(site $function) == *'direct(jmp)'* ]] || fail "it does not jump: $(site $function)"
}

is_handled() {
	[[ $(site $function) == *rlp_ftrace_handler* && $(site $function) != *direct* ]] ||
		fail "it is not under the handler: $(site $function)"
}

undo_tracing() {
	echo 0 >"$tracing/events/enable"
	echo nop >"$tracing/current_tracer"
	echo >"$tracing/set_ftrace_filter"
	echo >"$tracing/set_graph_function"
	: >"$tracing/kprobe_events"
	echo >"$tracing/trace"
}

ktap_print_header
ktap_set_plan 9
start_loader promote=Y

load_module $patch
wait_settled $patch
[[ $(cat "$mode") == "handler settling" || $(cat "$mode") == jump ]]
is_patched "under the handler"
wait_mode jump
jumps
is_patched "as a jump"
ktap_test_pass "a patched function is promoted"

echo N >$promote
wait_mode "handler off"
is_handled
is_patched "with promote=N"
echo Y >$promote
wait_mode jump
jumps
is_patched "with promote=Y again"
ktap_test_pass "the parameter promote can be changed while patches are enabled"

echo $function >$tracing/set_ftrace_filter
for tracer in function function_graph; do
	echo $tracer >$tracing/current_tracer
	is_patched "under the tracer $tracer"
	grep -q $function $tracing/trace || fail "$tracer does not see $function"
	echo nop >$tracing/current_tracer
	echo >$tracing/trace
done
undo_tracing
is_patched "after tracing"
ktap_test_pass "tracers see a promoted function, and it stays promoted"

probe_inside inside "$function"
echo "p:entry $function" >>$tracing/kprobe_events
echo "r:return $function" >>$tracing/kprobe_events
echo 1 >$tracing/events/kprobes/enable
is_patched "with kprobes"
for probe in entry return; do
	grep -q "$probe: " $tracing/trace || fail "a kprobe at the $probe sees nothing"
done
! grep -q 'inside: ' $tracing/trace || fail "the original function runs"
undo_tracing
is_patched "after kprobes"
wait_mode jump
ktap_test_pass "kprobes at entry, inside and at the return"

disable_patch $patch
is_original "after a jump"
[[ -z $(site $function) ]] || fail "it is still hooked: $(site $function)"
unload_module $patch
ktap_test_pass "a promoted function is unpatched"

# A second patch on top: the function is demoted, and promoted to the second patch. When that patch
# is disabled, the function is promoted to the first patch again.
load_module $patch
wait_mode jump
load_module livepatch_cmdline_c
wait_settled livepatch_cmdline_c
is_patched "two patches"
wait_until "[[ \$(cat $RLP/livepatch_cmdline_c/vmlinux/$function,1/mode) == jump ]]"
[[ $(site $function) == *livepatch_cmdline_c* ]] ||
	fail "it does not jump to the later patch: $(site $function)"
disable_patch livepatch_cmdline_c
wait_mode jump
[[ $(site $function) == *$patch* ]] || fail "it does not jump to the patch below: $(site $function)"
unload_module livepatch_cmdline_c
ktap_test_pass "a patch on top of a promoted function"

# Disable, unload and load the patch in a row, at different moments before it is settled.
for round in 1 2 3 4 5 6; do
	disable_patch $patch
	is_original "round $round"
	unload_module $patch
	load_module $patch
	wait_settled $patch
	is_patched "round $round"
	sleep "0.$((round * 12 % 7))"
done
disable_patch $patch
unload_module $patch
ktap_test_pass "changes while functions settle"

# ftrace uses the lowest bit of the address as a flag.
load_module rlp_target
load_module rlp_patch_a says=odd funcs=rlp_target:one_show=odd,rlp_target:two_show
wait_settled rlp_patch_a
wait_until "grep -q jump $RLP/rlp_patch_a/rlp_target/two_show,1/mode"
odd=$(cat $RLP/rlp_patch_a/rlp_target/one_show,1/mode)
[[ $odd == "handler unsupported" ]] || fail "the mode of a replacement at an odd address is '$odd'"
[[ $(cat /proc/rlp_target/one) == odd ]] || fail "the replacement at an odd address is not called"
disable_patch rlp_patch_a
unload_module rlp_patch_a
unload_module rlp_target
ktap_test_pass "a replacement at an odd address is called by the handler"

# A module is unloaded while its function jumps, and is loaded again. Then the patch, the module and
# the loader are unloaded, one right after another.
load_module rust_livepatch_late
load_module livepatch_sample_target
late=$RLP/rust_livepatch_late/livepatch_sample_target
wait_until "grep -q jump $late/*/mode"
unload_module livepatch_sample_target
grep -q unhooked "$late"/*/mode || fail "the function of an unloaded module is still hooked"
load_module livepatch_sample_target
grep -q "greetings from Rust" /proc/livepatch_sample/greeting
disable_patch rust_livepatch_late
unload_module rust_livepatch_late
unload_module livepatch_sample_target
stop_loader
[[ -z $(hooks_left 'rlp|direct[(]jmp[)]') ]] ||
	fail "the loader left hooks behind: $(cat $tracing/enabled_functions)"
ktap_test_pass "a module is unloaded while its function jumps, then the loader"
ktap_finished
