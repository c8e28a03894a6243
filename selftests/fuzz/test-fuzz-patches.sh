#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Descriptions of patches made at random, see rlp_fuzz.c: those that are refused
# change nothing, those that are not can be undone. Always the same, and some new ones.
#
#	RLP_MINUTES=	for half as long, new ones
#	RLP_SEED=	what was printed, for the same descriptions once more
#
# timeout: 300

set -e
. "$(dirname "$0")/../lib/patches.sh"
minutes=${RLP_MINUTES:-}
fuzz=/sys/module/rlp_fuzz/parameters
declare -A told
# Where KASAN watches, tens of thousands.
always=2000
! grep -q ' kasan_report$' /proc/kallsyms || always=20000

# told[RESULT] is how often, and told[all] of how many.
read_told() {
	local result number

	told=([all]=0)
	while read -r result number; do
		told[$result]=$number
		told[all]=$((told[all] + number))
	done <$fuzz/told
}

# What was accepted is enabled, also in each object that is there, and its files can be read.
expect_complete() {
	local object name here

	expect_file $RLP/rlp_fuzz/enabled 1
	for object in "$RLP"/rlp_fuzz/*/; do
		name=$(basename "$object") here=0
		[[ $name != vmlinux && ! -d /sys/module/$name ]] || here=1
		expect_file "$object/patched" $here
	done
	find $RLP/rlp_fuzz -type f -perm -400 -exec cat {} + >/dev/null || fail "a file cannot be read"
}

# fuzz SEED NUMBER SECONDS: at least so many, and at least for so long
fuzz() {
	local seed=$1 number=$2 end=$((SECONDS + $3)) result

	say_replay "fuzz T=fuzz-patches FUZZ_SEED=$seed"
	load_module rlp_fuzz seed="$seed"
	remember_state
	read_told
	while ((told[all] < number || SECONDS < end)); do
		echo 500 >$fuzz/run || fail "seed $seed: a result that is none"
		[[ ! -e $RLP/rlp_fuzz ]] || {
			wait_settled rlp_fuzz
			expect_complete
			patch_off rlp_fuzz
		}
		expect_unchanged
		read_told
	done
	for result in "${!told[@]}"; do
		echo "# $result: ${told[$result]}"
	done
	unload_module rlp_fuzz
}

# Of each kind there must be some.
expect_all_kinds() {
	local result

	for result in 0 2 14 19 22; do # enabled, ENOENT, EFAULT, ENODEV, EINVAL
		((${told[$result]:-0})) || fail "none with the result $result"
	done
}

load_loader
load_module rlp_target
if [[ ${RLP_SEED:-} ]]; then
	# All that who printed it may have had.
	fuzz "$RLP_SEED" "$always" $((${minutes:-2} * 30))
	pass "seed $RLP_SEED"
elif [[ $minutes ]]; then
	fuzz $SRANDOM 0 $((minutes * 30))
	pass "$minutes minutes, and half of that here: ${told[all]}"
else
	fuzz 1 "$always" 0
	expect_all_kinds
	pass "always the same: ${told[all]}"
	fuzz $SRANDOM 500 0
	pass "new ones: ${told[all]}"
fi
unload_module rlp_target
finish
