#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Random operations against a model, see progs/fuzz_ops: always the same ones, and
# some that are new each time.
#
#	RLP_MINUTES=	for half as long, in rounds of a minute
#	RLP_SEED=	what was printed, for the same operations once more
#	RLP_PINS=	let so many patches a round leave by force (0): their modules stay
#	RLP_KEPT=1	with that seed: a patch has left by force before, and keeps the loader
#
# timeout: 300

set -e
. "$(dirname "$0")/../lib/patches.sh"
minutes=${RLP_MINUTES:-} pins=${RLP_PINS:-0}

# Whether the loader has users that it cannot lose: a round begins with it, and never
# sees it go.
kept() {
	read_file /sys/module/rust_livepatch/refcnt
	echo $((REPLY > 0))
}

# play SEED STEPS SECONDS [verbose]
play() {
	local kept

	kept=$(kept)
	# How many were forced out makes no difference, nor their names.
	say_replay "fuzz T=fuzz-ops FUZZ_SEED=$1 FUZZ_PINS=$pins FUZZ_KEPT=$kept"
	fuzz_ops "$1" "$2" "$3" "$pins" ${4:+"$4"}
}

# A patch that another replaces while somebody sleeps in what that one patches, by force.
keep_loader() {
	load_loader
	load_module rlp_target
	load_patch rlp_patch_a funcs=rlp_target:one_show
	fall_asleep
	load_module rlp_patch_b replace=Y funcs=rlp_target:sleep_show
	echo 1 >$RLP/rlp_patch_b/force
	wait_gone rlp_patch_a
	wake_up
	unload_patch rlp_patch_b
	unload_module rlp_target
	# The others stay.
	loaded=()
}

# begin_as KEPT: 1 or 0, as a replay has to begin.
begin_as() {
	(($1 == $(kept))) && return
	(($1)) || skip "a replay with FUZZ_KEPT=0 needs a machine whose loader can be removed"
	keep_loader
	expect "$(kept)" 1 "whether the loader is kept"
}

# digest SEED STEPS: of all that it did; what it prints is seen too.
digest() {
	play "$1" "$2" 0 | tee /dev/stderr | grep -oP 'digest \K\w+'
}

# A seed is worth something only if it does the same again.
plays_the_same() {
	local first second pins=0

	first=$(digest "$@")
	second=$(digest "$@")
	[[ $first == "$second" ]] || fail "seed $1: $first, and then $second"
}

if [[ ${RLP_SEED:-} ]]; then
	begin_as "${RLP_KEPT:-0}"
	play "$RLP_SEED" 0 $((${minutes:-2} * 30)) verbose
	pass "seed $RLP_SEED"
elif [[ $minutes ]]; then
	end=$((SECONDS + minutes * 30))
	while ((SECONDS < end)); do
		left=$((end - SECONDS))
		play $SRANDOM 0 $((left < 60 ? left : 60))
	done
	pass "$minutes minutes, and half of that here"
else
	play 1 60 0
	pass "always the same"
	plays_the_same 2 15
	pass "the same twice"
	play $SRANDOM 0 10
	pass "new ones"
fi
finish
