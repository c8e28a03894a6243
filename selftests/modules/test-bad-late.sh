#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# An error in a patch for a late module is detected only when that module is loaded: the module
# is refused, the reason is logged, and the patch does not change.
# timeout: 300

set -e
. "$(dirname "$0")/../lib/patches.sh"
load_loader

# bad_late ERRNO PATTERN FUNCS WHAT
bad_late() {
	load_patch rlp_patch_a "funcs=:cmdline_proc_show,$3"
	remember_state
	expect_refused "$1" "$2" rlp_target
	expect_log "patch 'rlp_patch_a' failed for module 'rlp_target', refusing to load"
	expect_file "$RLP/rlp_patch_a/rlp_target/patched" 0
	expect_file /proc/cmdline patched
	unload_patch rlp_patch_a
	pass "$4"
}

bad_late EINVAL "symbol 'no_such_function' not found" \
	rlp_target:one_show,rlp_target:no_such_function "unknown symbol"
bad_late EINVAL "ambiguity for symbol 'twin_show'" \
	rlp_target:twin_show "ambiguous symbol"
bad_late EINVAL "symbol position 3 for symbol 'twin_show'" \
	rlp_target:twin_show@3 "position out of range"
bad_late EINVAL "failed to find location for function 'notrace_show'" \
	rlp_target:notrace_show "a notrace function"
bad_late EINVAL "'one_show'.* named twice|'alias_show'.* named twice" \
	rlp_target:one_show,rlp_target:alias_show "the same function twice, by two names"
bad_late EINVAL "function 'rlp_target_init' cannot be patched: it is freed after" \
	rlp_target:rlp_target_init "the init function, which is freed after init"

# The second of two patches for the module is bad, so the module is refused. The first patch is
# reverted from the module, too.
load_patch rlp_patch_a funcs=rlp_target:one_show
load_patch rlp_patch_b funcs=rlp_target:one_show,rlp_target:no_such_function
remember_state
expect_refused EINVAL "symbol 'no_such_function' not found" rlp_target
expect_file "$RLP/rlp_patch_a/rlp_target/patched" 0
unload_patch rlp_patch_b
load_module rlp_target
expect_file $TARGET/one patched
unload_patch rlp_patch_a
expect_file $TARGET/one one
unload_module rlp_target
pass "a good patch and a bad one; then the bad one is unloaded"

# A patch that is loaded while the target's init runs.
insmod "$(module_file rlp_target)" init_sleep=Y &
loaded+=(rlp_target)
wait_until "[[ -e $PARAMETERS/awake && \$(cat /sys/module/rlp_target/initstate) == coming ]]" ||
	fail "rlp_target is not in its init"
sleep 0.5
remember_state
expect_refused EINVAL "function 'rlp_target_init' cannot be patched: it is freed after" \
	rlp_patch_a funcs=rlp_target:rlp_target_init
load_patch rlp_patch_a funcs=rlp_target:one_show
echo Y >$PARAMETERS/awake
wait
expect_file $PARAMETERS/at_init patched
expect_file $TARGET/one patched
unload_patch rlp_patch_a
expect_file $TARGET/one one
pass "while the init of a module runs: a patch for the init function, and a patch for another function"
finish
