#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The files of a patch are read and written while the patch is enabled and disabled, and while
# its module is unloaded.
# timeout: 300

set -e
. "$(dirname "$0")/../lib/patches.sh"
load_loader
load_module rlp_target
remember_state
stop=$(mktemp) answers=$(mktemp)
here=$RLP/rlp_patch_a
loaded+=(rlp_patch_a)

# Any value may be read, but some of the reads must succeed.
readers() {
	local file

	set +e
	while [[ -e $stop && -d /proc/$$ ]]; do
		for file in $here/* $here/*/* $here/*/*/*; do
			[[ ! -f $file ]] || { read -r _ <"$file" && echo >>"$answers"; }
		done
	done
}

writers() {
	set +e
	while [[ -e $stop && -d /proc/$$ ]]; do
		echo junk >$here/enabled
		echo 1 >$here/enabled
		echo 0 >$here/enabled
		echo 0 >$here/force # not 1, which would pin the module for ever
	done
}

removers() {
	set +e
	while [[ -e $stop && -d /proc/$$ ]]; do
		rmmod rlp_patch_a
	done
}

readers 2>/dev/null &
writers 2>/dev/null &
rounds=0
deadline=$((SECONDS + 15))
while ((SECONDS < deadline || rounds < 5)); do
	insmod "$(module_file rlp_patch_a)" funcs=rlp_target:one_show,:cmdline_proc_show
	# The writers disable the patch sooner or later, and may enable it again.
	wait_until 'rmmod rlp_patch_a 2>/dev/null || ! is_loaded rlp_patch_a' 60 || {
		show_patch rlp_patch_a
		fail "the patch is not disabled"
	}
	rounds=$((rounds + 1))
done
[[ -s $answers ]] || fail "no read succeeded"
pass "readers and writers, $rounds rounds"

removers 2>/dev/null &
for ((i = 0; i < 5; i++)); do
	insmod "$(module_file rlp_patch_a)" funcs=rlp_target:one_show
	wait_until "! is_loaded rlp_patch_a" 60 || {
		show_patch rlp_patch_a
		fail "the patch is not unloaded"
	}
done
rm "$stop"
wait
rm "$answers"
pass "another process unloads the module as soon as possible"

expect_unchanged
pass "nothing is left"
finish
