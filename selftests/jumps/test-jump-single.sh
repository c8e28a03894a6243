#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A kernel that cannot promote functions in batches: some are promoted one by one, the others
# stay under the handler, and all of them work.
# timeout: 300

set -e
. "$(dirname "$0")/../lib/patches.sh"
own_loader
needs_gate
load_module bench_target
load_module rlp_target
remember_state
load_module rust_livepatch 'without=update_ftrace_direct_*'
promote=/sys/module/rust_livepatch/parameters/promote
one=$RLP/rlp_patch_a/rlp_target/one_show,1/mode

load_patch rlp_patch_a funcs=rlp_target:one_show,:cmdline_proc_show
wait_until "[[ \$(cat $one) == jump ]]" 20 || fail "mode reads '$(cat $one)'"
[[ $(site one_show) == *'direct(jmp)'* && $(site one_show) != *rlp_ftrace_handler* ]] ||
	fail "it does not jump: $(site one_show)"
expect_file $TARGET/one patched
pass "functions are promoted one by one"

load_patch rlp_patch_b funcs=rlp_target:one_show
expect_file $TARGET/one patched
unload_patch rlp_patch_b
wait_until "[[ \$(cat $one) == jump ]]" 20 || fail "mode reads '$(cat $one)'"
pass "another patch on top is loaded and unloaded"

echo N >$promote
wait_until "[[ \$(cat $one) == 'handler off' ]]" 20 || fail "mode reads '$(cat $one)'"
[[ $(site one_show) != *direct* ]] || fail "it still jumps: $(site one_show)"
expect_file $TARGET/one patched
echo Y >$promote
wait_until "[[ \$(cat $one) == jump ]]" 20 || fail "mode reads '$(cat $one)'"
unload_patch rlp_patch_a
expect_file $TARGET/one one
pass "the parameter promote is switched off and on"

load_patch bench_rlp_1000
modes() {
	cat $RLP/bench_rlp_1000/bench_target/*/mode | sort | uniq -c | tr -s ' ' | tr '\n' ','
}
wait_until '[[ $(modes) == " 984 handler unsupported, 16 jump," ]]' 20 || fail "modes: $(modes)"
echo 1000 >/sys/kernel/debug/bench_target/calls
unload_patch bench_rlp_1000
pass "16 of 1,000 functions are promoted"

unload_module rust_livepatch
expect_unchanged
finish
