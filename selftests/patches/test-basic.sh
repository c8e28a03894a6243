#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Functions that can be replaced: functions of vmlinux and of modules, static functions, and one
# of several functions with the same name.
# timeout: 300

set -e
. "$(dirname "$0")/../lib/patches.sh"
load_loader
load_module rlp_target
remember_state
probes=$(cat $PARAMETERS/sched_switch_users)

load_patch rlp_patch_a funcs=:cmdline_proc_show
expect_file /proc/cmdline patched
expect_file "$RLP/rlp_patch_a/vmlinux/patched" 1
unload_patch rlp_patch_a
expect_unchanged
pass "a static function of vmlinux"

load_patch rlp_patch_a funcs=rlp_target:one_show,rlp_target:two_show
expect_file $TARGET/one patched
expect_file $TARGET/two patched
expect_file $TARGET/twin1 "first twin"
unload_patch rlp_patch_a
expect_unchanged
pass "two static functions of a module"

load_patch rlp_patch_a funcs=:cmdline_proc_show,rlp_target:one_show
expect_file /proc/cmdline patched
expect_file $TARGET/one patched
unload_patch rlp_patch_a
expect_unchanged
pass "functions of vmlinux and of a module in one patch"

# The linker decides which of the two is the first.
load_patch rlp_patch_a funcs=rlp_target:twin_show@1
first=$(cat $TARGET/twin1) second=$(cat $TARGET/twin2)
unload_patch rlp_patch_a
load_patch rlp_patch_a funcs=rlp_target:twin_show@2
case $first,$second in
patched,"second twin")
	expect_file $TARGET/twin1 "first twin"
	expect_file $TARGET/twin2 patched
	;;
"first twin",patched)
	expect_file $TARGET/twin1 patched
	expect_file $TARGET/twin2 "second twin"
	;;
*) fail "position 1 makes the twins read '$first' and '$second'" ;;
esac
[[ -d $RLP/rlp_patch_a/rlp_target/twin_show,2 ]] || fail "there is no twin_show,2 in sysfs"
unload_patch rlp_patch_a
expect_unchanged
pass "each of two functions with the same name in a module"

load_patch rlp_patch_a funcs=rlp_target:twin_show@1,rlp_target:twin_show@2
expect_file $TARGET/twin1 patched
expect_file $TARGET/twin2 patched
unload_patch rlp_patch_a
expect_unchanged
pass "both functions with the same name at once"

# Several source files have a function s_show(). One prints the lines of /proc/kallsyms; some are
# in tracing code, which ftrace cannot hook.
count=$(grep -cE ' [tT] s_show$' /proc/kallsyms)
hits=0
for ((n = 1; n <= count; n++)); do
	new_log
	if insmod "$(module_file rlp_patch_a)" funcs=:s_show@$n 2>/dev/null; then
		wait_settled rlp_patch_a
		[[ $(head -n 1 /proc/kallsyms) != patched ]] || hits=$((hits + 1))
		unload_patch rlp_patch_a
	else
		expect_log "failed to find location for function 's_show'"
	fi
done
expect_unchanged
if ((count > 1)); then
	expect $hits 1 "number of the $count functions s_show() that change /proc/kallsyms"
	pass "one of $count functions with the same name in vmlinux"
else
	untested "one of several functions with the same name in vmlinux"
fi

new_log
load_patch rlp_patch_a funcs=rlp_target:one_show
patch_off rlp_patch_a
expect "$(log | sed -n 's/.*rust_livepatch: //p')" "enabling patch 'rlp_patch_a'
'rlp_patch_a': starting patching transition
'rlp_patch_a': patching complete
'rlp_patch_a': starting unpatching transition
'rlp_patch_a': unpatching complete" "messages of a patch that is enabled and disabled"
is_loaded rlp_patch_a || fail "the module of a disabled patch is not loaded any more"
unload_module rlp_patch_a
load_patch rlp_patch_a says=again funcs=rlp_target:one_show
expect_file $TARGET/one again
unload_patch rlp_patch_a
expect_unchanged
pass "disabled, unloaded, and loaded again"
expect_probes "$probes"
pass "the probe on the scheduler is removed"
finish
