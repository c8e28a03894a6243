#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Memory that cannot be had: each allocation on the way of the loader and of a
# patch fails once, the loader's own ones and those of the kernel on its behalf.
# Either it works all the same, or it is refused with ENOMEM, and nothing is left.
# timeout: 600

set -e
. "$(dirname "$0")/patches.sh"
load_loader
load_module rlp_target
load_module rlp_fail
fail_at=/sys/module/rlp_fail/parameters/nth
failed=/sys/module/rlp_fail/parameters/failed
live=/sys/module/rlp_fail/parameters/live
seen=/sys/module/rlp_fail/parameters/seen

# Now all that is made once and kept has been made.
load_patch rlp_patch_a funcs=rlp_target:one_show,:cmdline_proc_show
unload_patch rlp_patch_a
remember
sleep 1
probes=$(cat $PARAMETERS/sched_switch_users)
live_before=$(cat $live)
where=nothing

expect_no_leak() {
	wait_until '(($(<$live) == live_before))' 10 ||
		fail "$(($(cat $live) - live_before)) objects are left, after '$where'"
}

load_patch rlp_patch_a funcs=rlp_target:one_show,:cmdline_proc_show
count=$(cat $seen)
unload_patch rlp_patch_a
expect_no_leak
((count > 20)) || fail "a patch is enabled with only $count allocations"
pass "a patch is enabled with $count allocations, and none is left"

refused=0 survived=0
for ((nth = 1; nth <= count; nth++)); do
	echo $nth >$fail_at
	if error=$(insmod "$(module_file rlp_patch_a)" funcs=rlp_target:one_show,:cmdline_proc_show 2>&1); then
		where=$(cat $failed)
		echo 0 >$fail_at
		wait_settled rlp_patch_a
		expect_file $TARGET/one patched
		unload_patch rlp_patch_a
		survived=$((survived + 1))
	else
		where=$(cat $failed)
		echo 0 >$fail_at
		[[ $error =~ $(errno_text ENOMEM) ]] || fail "'$error' instead of ENOMEM, after '$where'"
		expect_file $TARGET/one one
		[[ -z $(ls -A $RLP) ]] || fail "$(ls $RLP) is left, after '$where'"
		refused=$((refused + 1))
	fi
	expect_no_leak
done
((refused > 10)) || fail "only $refused failures were noticed"
expect_unchanged
pass "each of $count fails: $refused are ENOMEM, $survived do no harm"

# Disabling: the patch stays enabled, or goes.
unload_module rlp_fail
load_patch rlp_patch_a funcs=rlp_target:one_show,:cmdline_proc_show
load_module rlp_fail within=kernfs_fop_write_iter comm=tee
refused=0 survived=0
for ((nth = 1;; nth++)); do
	echo $nth >$fail_at
	if error=$(tee $RLP/rlp_patch_a/enabled <<<0 2>&1 >/dev/null); then
		count=$(cat $seen)
		echo 0 >$fail_at
		wait_gone rlp_patch_a
		expect_file $TARGET/one one
		# Nothing has failed: there was no such allocation any more.
		((nth <= count)) || break
		survived=$((survived + 1))
		unload_module rlp_patch_a
		load_patch rlp_patch_a funcs=rlp_target:one_show,:cmdline_proc_show
	else
		where=$(cat $failed)
		[[ $error =~ $(errno_text ENOMEM) ]] || fail "'$error' instead of ENOMEM, after '$where'"
		expect_file $RLP/rlp_patch_a/enabled 1
		expect_file $RLP/rlp_patch_a/transition 0
		expect_file $TARGET/one patched
		refused=$((refused + 1))
	fi
done
((refused > 2)) || fail "only $refused failures were noticed"
unload_module rlp_patch_a
expect_probes "$probes"
pass "each of $count fails when it is disabled: $refused are ENOMEM, $survived do no harm"
finish
