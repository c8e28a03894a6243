#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# 300 functions that are drawn at random are replaced by stubs at once, under load.
#
#	RLP_SEED=	a seed that was printed, to repeat its choices
# timeout: 300

set -e
. "$(dirname "$0")/everything.sh"
seed=${RLP_SEED:-$((RANDOM * 32768 + RANDOM))}
say_replay "check T=every-random FUZZ_SEED=$seed"
load_everything

start_load
replace_functions rlp_everything random=300 seed="$seed"
((count == 300)) || fail "$count functions were drawn"
wait_until "settled_modes rlp_everything" 30
sleep 0.5
note "$(count_promoted rlp_everything) of 300 functions jump, $(count_called rlp_everything) were called"
(($(count_promoted rlp_everything) >= 250)) ||
	fail "only $(count_promoted rlp_everything) functions jump"
disable_and_unload rlp_everything
stop_workers
expect_no_mixed
