#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A replacement with an ENDBR and one without: the handler returns to it, or the function's fentry
# site jumps to it, alone or beside a tracer. None of these is an indirect branch, so the
# replacement needs no ENDBR. (scripts/checks/test-calls.sh checks that "bare" has none.)

set -e
. "$(dirname "$0")/../lib/patches.sh"
tracing=/sys/kernel/tracing
start_loader promote=N
load_module rlp_target
remember_state
modes=$RLP/rlp_patch_a/rlp_target

# works HOW MODE: both functions have this mode, and their replacements are called.
works() {
	local function

	for function in one_show two_show; do
		wait_until "[[ \$(<$modes/$function,1/mode) == '$2' ]]" 20 ||
			fail "the mode of $function is '$(<"$modes/$function,1/mode")', not '$2'"
	done
	expect_file $TARGET/one patched
	expect_file $TARGET/two patched
	pass "with and without an ENDBR: $1"
}

# Let a tracer share the functions with the loader, and check that they still work.
shared() { # HOW MODE
	local tracer function

	printf '%s\n' one_show two_show >$tracing/set_ftrace_filter
	for tracer in function function_graph; do
		echo $tracer >$tracing/current_tracer
		works "$1, beside the tracer $tracer" "$2"
		for function in one_show two_show; do
			grep -q $function $tracing/trace || fail "$tracer does not see $function"
		done
		echo nop >$tracing/current_tracer
		: >$tracing/trace
	done
	echo >$tracing/set_ftrace_filter
}

load_patch rlp_patch_a funcs=rlp_target:one_show=bare,rlp_target:two_show=say
works "the handler returns to the replacement" "handler off"
shared "the handler" "handler off"
echo Y >/sys/module/rust_livepatch/parameters/promote
works "the fentry site jumps to the replacement" jump
shared "the jump" jump
unload_patch rlp_patch_a
expect_file $TARGET/one one
expect_file $TARGET/two two
expect_unchanged
finish
