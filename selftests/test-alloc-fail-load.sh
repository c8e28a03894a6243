#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Memory that cannot be had while the loader itself is loaded: it is refused with
# ENOMEM, or works without what is optional, and leaves nothing.
# timeout: 600

set -e
. "$(dirname "$0")/patches.sh"
! is_loaded rust_livepatch || skip "the loader is in use on this machine"
load_module rlp_target
load_module rlp_fail
fail_at=/sys/module/rlp_fail/parameters/nth
failed=/sys/module/rlp_fail/parameters/failed
remember

load_loader
count=$(cat /sys/module/rlp_fail/parameters/seen)
unload_module rust_livepatch
refused=0 survived=0
for ((nth = 1; nth <= count; nth++)); do
	echo $nth >$fail_at
	if error=$(insmod "$(module_file rust_livepatch)" 2>&1); then
		where=$(cat $failed)
		echo 0 >$fail_at
		load_patch rlp_patch_a funcs=rlp_target:one_show
		expect_file $TARGET/one patched
		unload_patch rlp_patch_a
		unload_module rust_livepatch
		survived=$((survived + 1))
	else
		where=$(cat $failed)
		echo 0 >$fail_at
		[[ $error =~ $(errno_text ENOMEM) ]] || fail "'$error' instead of ENOMEM, after '$where'"
		refused=$((refused + 1))
	fi
	[[ ! -e $RLP ]] || fail "$RLP is left, after '$where'"
	expect_unchanged
done
pass "each of $count fails: $refused are ENOMEM, $survived do no harm"
finish
