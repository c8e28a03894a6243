#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Random descriptions of patches, see rlp_fuzz.c. A description that is refused must change nothing.
# A patch that is accepted can be undone. Some descriptions are the same each time, and some are
# new.
#
#	RLP_MINUTES=	run for half of this time, with new descriptions
#	RLP_SEED=	a seed that was printed, to repeat its descriptions
#
# timeout: 300

set -e
. "$(dirname "$0")/../lib/patches.sh"
minutes=${RLP_MINUTES:-}
fuzz=/sys/module/rlp_fuzz/parameters
declare -A results
# The number of descriptions that are the same each time: ten times as many with KASAN.
always=2000
! grep -q ' kasan_report$' /proc/kallsyms || always=20000

# Set results[RESULT] to the number of descriptions with that result, and results[all] to their sum.
read_results() {
	local result number

	results=([all]=0)
	while read -r result number; do
		results[$result]=$number
		results[all]=$((results[all] + number))
	done <$fuzz/results
}

# A patch that was accepted must be enabled, patch each present object, and have files that can
# be read.
expect_complete() {
	local object name here

	expect_file $RLP/rlp_fuzz/enabled 1
	for object in "$RLP"/rlp_fuzz/*/; do
		[[ -d $object ]] || continue # a patch without objects
		name=$(basename "$object") here=0
		[[ $name != vmlinux && ! -d /sys/module/$name ]] || here=1
		expect_file "$object/patched" $here
	done
	find $RLP/rlp_fuzz -type f -perm -400 -exec cat {} + >/dev/null ||
		fail "a file cannot be read"
}

# fuzz SEED NUMBER SECONDS: try at least this many descriptions, for at least this long.
fuzz() {
	local seed=$1 number=$2 end=$((SECONDS + $3)) result

	say_replay "fuzz T=fuzz-patches FUZZ_SEED=$seed"
	load_module rlp_fuzz seed="$seed"
	remember_state
	read_results
	while ((results[all] < number || SECONDS < end)); do
		echo 500 >$fuzz/run || fail "seed $seed: an unexpected result"
		[[ ! -e $RLP/rlp_fuzz ]] || {
			wait_settled rlp_fuzz
			expect_complete
			patch_off rlp_fuzz
		}
		expect_unchanged
		read_results
	done
	for result in "${!results[@]}"; do
		echo "# $result: ${results[$result]}"
	done
	unload_module rlp_fuzz
}

# There must be some descriptions with each result.
expect_all_kinds() {
	local result

	for result in 0 2 14 19 22; do # enabled, ENOENT, EFAULT, ENODEV, EINVAL
		((${results[$result]:-0})) || fail "no description has the result $result"
	done
}

load_loader
load_module rlp_target
if [[ ${RLP_SEED:-} ]]; then
	# The run that printed the seed ended with a number of descriptions or after a time. Satisfy
	# both, so that this run tries all descriptions of that run.
	fuzz "$RLP_SEED" "$always" $((${minutes:-2} * 30))
	pass "seed $RLP_SEED"
elif [[ $minutes ]]; then
	fuzz $SRANDOM 0 $((minutes * 30))
	pass "half of $minutes minutes: ${results[all]} descriptions"
else
	long || always=$((always / 2))
	fuzz 1 "$always" 0
	expect_all_kinds
	pass "the same descriptions each time: ${results[all]}"
	fuzz $SRANDOM 500 0
	pass "new descriptions: ${results[all]}"
fi
unload_module rlp_target
finish
