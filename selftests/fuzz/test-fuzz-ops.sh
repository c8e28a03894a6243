#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Random operations, whose results are compared with a model (see progs/fuzz_ops). Some operations
# are the same each time, and some are new each time.
#
#	RLP_MINUTES=	run for half of this time, in rounds of a minute
#	RLP_SEED=	a seed that was printed, to repeat its operations
#	RLP_PINS=	how many patches a round may remove by force (0): their modules stay
#	RLP_KEPT=1	with RLP_SEED: a patch was removed by force before, and because of
#			its module the loader cannot be unloaded
#
# timeout: 300

set -e
. "$(dirname "$0")/../lib/patches.sh"
minutes=${RLP_MINUTES:-} pins=${RLP_PINS:-0}

# Print 1 if the loader has users that cannot be unloaded, or is built in, else 0. With 1, a round
# begins with the loader loaded, and never unloads it.
kept() {
	read_file /sys/module/rust_livepatch/refcnt
	! loader_is_built_in || REPLY=1
	echo $((REPLY > 0))
}

# play SEED STEPS SECONDS [verbose]
play() {
	local kept

	kept=$(kept)
	# A replay needs only these values. Earlier runs may have removed patches by force, but the
	# operations do not depend on the number or the names of these patches.
	say_replay "fuzz T=fuzz-ops FUZZ_SEED=$1 FUZZ_PINS=$pins FUZZ_KEPT=$kept"
	fuzz_ops "$1" "$2" "$3" "$pins" ${4:+"$4"}
}

# Replace a patch by force while a task sleeps in a function that the new patch replaces. The module
# of the old patch then stays loaded, so the loader cannot be unloaded.
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
	# Keep cleanup() from unloading the other modules.
	loaded=()
}

# begin_as KEPT: bring the machine into the state in which the replayed run started. KEPT is 0 if
# the loader could be unloaded at that time, and 1 if not.
begin_as() {
	(($1 == $(kept))) && return
	(($1)) || skip "a replay with FUZZ_KEPT=0 needs a machine whose loader can be removed"
	keep_loader
	expect "$(kept)" 1 "whether the loader is kept"
}

# digest SEED STEPS: play, and print the digest of all its operations. Its own output goes to
# stderr.
digest() {
	play "$1" "$2" 0 | tee -a /dev/stderr | grep -oP 'digest \K\w+'
}

# plays_the_same SEED STEPS: the same seed must give the same operations. Otherwise a failure
# could not be repeated.
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
	pass "half of $minutes minutes"
else
	steps=20
	! long || steps=60
	play 1 $steps 0
	pass "the same operations each time"
	plays_the_same 2 15
	pass "the same seed twice"
	play $SRANDOM 0 10
	pass "new operations"
fi
finish
