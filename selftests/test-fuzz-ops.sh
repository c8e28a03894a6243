#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Random operations against a model, see progs/fuzz_ops: always the same ones, and
# some that are new each time.
#
#	RLP_MINUTES=	for half as long, in rounds of a minute
#	RLP_SEED=	what was printed, for the same operations once more
#	RLP_PINS=	let so many patches a round leave by force (0): their modules stay
#
# timeout: 300

set -e
. "$(dirname "$0")/patches.sh"
minutes=${RLP_MINUTES:-} pins=${RLP_PINS:-0}

# play SEED STEPS SECONDS [verbose]
play() {
	say_replay "fuzz T=fuzz-ops FUZZ_SEED=$1"
	fuzz_ops "$1" "$2" "$3" "$pins" ${4:+"$4"}
}

if [[ ${RLP_SEED:-} ]]; then
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
	play $SRANDOM 0 10
	pass "new ones"
fi
finish
