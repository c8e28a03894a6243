#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout: 600
#
# The consistency of it all: a caller and a callee that are useless to each other's
# old version are patched and unpatched while processes, kthreads and timers call
# them. Not one call may be mixed. (That mixed ones are seen: test-moves-force.sh.)
#
#	RLP_SEED=, RLP_TRANSITIONS=, RLP_CALLS=: at least so many

set -e
. "$(dirname "$0")/random-changes.sh"
seed=${RLP_SEED:-$RANDOM}
RANDOM=$seed
say_replay "fuzz T=moves-pair FUZZ_SEED=$seed"
load_moves

# With the processors to themselves, they leave little for who changes the patches.
start_worker nice -n 10 moves hammer 2 "$seed"
start_worker nice -n 10 moves forks 1
echo "k-pair pair nap" >$MOVES/kthread
echo 1 >$MOVES/ticks

while ((transitions < ${RLP_TRANSITIONS:-200} || $(calls) < ${RLP_CALLS:-$((1000000 / ${RLP_SLOW:-1}))})); do
	change_at_random
done
expect_workers
# At least once from jumps to the handler and back, where there are jumps.
patch_jumps() {
	read_value "$RLP/moves_patch1/moves_target/moves_session,1/mode"
	[[ $REPLY != "handler settling" ]]
}
if ((jumps == 0)); then
	load_module moves_patch1
	wait_until patch_jumps || fail "it never settles"
	[[ $REPLY == "handler unsupported" ]] || fail "nothing has ever jumped"
	unload_patch moves_patch1
fi
read -r all bad zero one two <$MOVES/counts
echo "# $transitions transitions, $reversals of them reversals, $jumps from jumps; $all calls, $bad mixed"
echo "# calls of each version: $zero $one $two"
expect_no_mixed
((one && two)) || fail "not every version was called"
