#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# In-tree livepatch on the same kernel. Both loaders may patch functions, but not the same one.
#
# On PREEMPT_RT in-tree livepatch checks the stack of the current task with preemption enabled,
# since read_lock(&tasklist_lock) does not disable it there (klp_try_complete_transition()).
# lockdep warns once, in klp_check_stack() of kernel/livepatch/transition.c.
# timeout: 300
# expect-log: Call Trace|cut here|WARNING: kernel/livepatch/transition\.c:[0-9]+ at klp_check_stack

set -e
. "$(dirname "$0")/../lib/patches.sh"
[[ -d /sys/kernel/livepatch ]] || skip "this kernel has no CONFIG_LIVEPATCH"
load_loader
load_module rlp_target
remember_state
intree=/sys/kernel/livepatch/rlp_intree

load_intree() {
	load_module rlp_intree says=intree "$@"
	wait_until "[[ \$(cat $intree/transition) == 0 ]]" 60 ||
		fail "the transition of rlp_intree does not complete"
}

unload_intree() {
	echo 0 >$intree/enabled
	wait_until "[[ ! -e $intree ]]" 60 || fail "rlp_intree keeps its directory"
	unload_module rlp_intree
}

load_intree funcs=rlp_target:one_show
load_patch rlp_patch_a funcs=rlp_target:two_show
expect_file $TARGET/one intree
expect_file $TARGET/two patched
pass "each loader patches a function of the same module"
unload_patch rlp_patch_a
expect_file $TARGET/one intree
expect_file $TARGET/two two

# refused_by PREFIX PATCH: the loader that logs with this prefix must have logged that it refused
# one_show. Both loaders log the same lines for that.
refused_by() {
	expect_log "\] $1: failed to register ftrace handler for function 'one_show' \(-16\)"
	expect_log "\] $1: failed to patch object 'rlp_target'"
	expect_log "\] $1: failed to enable patch '$2'"
}

# holder DIRECTORY PATTERN: an operator must be able to find out which loader has patched one_show.
# DIRECTORY is the directory of a patch in sysfs. No other patch may have a directory for one_show,
# and ftrace's line for one_show must match PATTERN.
holder() {
	expect "$(compgen -G '/sys/kernel/*livepatch/*/*/one_show,*')" \
		"$1/rlp_target/one_show,1" "the holder"
	grep -A1 '^one_show ' /sys/kernel/tracing/enabled_functions | grep -qE -- "$2" ||
		fail "ftrace does not name $2"
}

refuse_ours() {
	new_log
	expect_load_fail EBUSY rlp_patch_a "funcs=$1"
	expect_log "\] rust_livepatch: function 'one_show' is redirected by klp_ftrace_handler"
	refused_by rust_livepatch rlp_patch_a
	holder $intree '->klp_ftrace_handler'
}

refuse_ours rlp_target:one_show
refuse_ours rlp_target:two_show,rlp_target:one_show
expect_file $TARGET/one intree
expect_file $TARGET/two two
pass "a function that in-tree livepatch has patched: EBUSY, and the log names in-tree livepatch"

load_patch rlp_patch_a funcs=rlp_target:two_show
unload_intree
expect_file $TARGET/one one
expect_file $TARGET/two patched
unload_patch rlp_patch_a
expect_unchanged
pass "the patch of in-tree livepatch is unloaded first"

# The other way round, with the function under the handler and promoted.
for promote in N Y; do
	echo $promote >/sys/module/rust_livepatch/parameters/promote
	load_patch rlp_patch_a funcs=rlp_target:one_show
	mode=$RLP/rlp_patch_a/rlp_target/one_show,1/mode
	case $promote in
	N) wait_until "[[ \$(cat '$mode') == 'handler off' ]]" || fail "mode: $(cat "$mode")" ;;
	Y) wait_until "[[ \$(cat '$mode') != 'handler settling' ]]" ||
		fail "mode: $(cat "$mode")" ;;
	esac
	now=$(cat "$mode")
	new_log
	expect_load_fail EBUSY rlp_intree says=intree funcs=rlp_target:one_show
	refused_by livepatch rlp_intree
	! log_has '\] rust_livepatch:' || fail "our loader has logged a line"
	case $now in
	jump) holder $RLP/rlp_patch_a 'direct.*-->.*\[rlp_patch_a\]' ;;
	*) holder $RLP/rlp_patch_a '->rlp_ftrace_handler'".*$(loader_mark)" ;;
	esac
	expect_file $TARGET/one patched
	load_intree funcs=rlp_target:two_show
	expect_file $TARGET/two intree
	unload_patch rlp_patch_a
	unload_intree
	expect_unchanged
	pass "in-tree livepatch on a function that our loader has patched ($now): EBUSY"
done
echo Y >/sys/module/rust_livepatch/parameters/promote

# A late module for which both loaders have patches.
load_intree funcs=rlp_target:two_show
load_patch rlp_patch_a funcs=rlp_target:one_show
unload_module rlp_target
load_module rlp_target
expect_file $TARGET/one patched
expect_file $TARGET/two intree
pass "both patch a late module"
unload_patch rlp_patch_a
unload_module rlp_target
load_patch rlp_patch_a funcs=rlp_target:two_show
new_log
expect_load_fail EBUSY rlp_target
expect_log "function 'two_show' is redirected by klp_ftrace_handler"
expect_log "refusing to load module 'rlp_target'"
pass "a late module is refused if both have a patch for the same function"
unload_patch rlp_patch_a
unload_intree
finish
