#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout: 600
#
# Consistency: a patch changes both a caller and its callee, and the new version of one does not
# work with the old version of the other. The pair is patched and unpatched while processes,
# kthreads and timers call it. No call may be mixed. (test-moves-force.sh shows that mixed calls
# are counted.)
#
#	RLP_SEED=	the seed of the random choices
#	RLP_TRANSITIONS=, RLP_CALLS=	the least number of transitions and of calls

set -e
. "$(dirname "$0")/random-changes.sh"
seed=${RLP_SEED:-$RANDOM}
RANDOM=$seed
say_replay "fuzz T=moves-pair FUZZ_SEED=$seed"
load_moves

# Workers with normal priority would leave little time for the process that changes the patches.
start_worker nice -n 10 moves hammer 2 "$seed"
start_worker nice -n 10 moves forks 1
echo "k-pair pair nap" >$MOVES/kthread
echo 1 >$MOVES/ticks

while ((transitions < ${RLP_TRANSITIONS:-200} ||
	$(calls) < ${RLP_CALLS:-$((1000000 / ${RLP_SLOW:-1}))})); do
	change_at_random
done
expect_workers
# At least one transition must demote functions that jump, if the kernel supports jumps.
patch_jumps() {
	read_value "$RLP/moves_patch1/moves_target/moves_session,1/mode"
	[[ $REPLY != "handler settling" ]]
}
if ((jumps == 0)); then
	load_module moves_patch1
	wait_until patch_jumps || fail "the patch does not settle"
	[[ $REPLY == "handler unsupported" ]] || fail "no function has ever jumped"
	unload_patch moves_patch1
fi
read -r all bad zero one two <$MOVES/counts
echo "# $transitions transitions: $reversals are reversals, $jumps began with jumps; $all calls, $bad mixed"
echo "# calls of each version: $zero $one $two"
expect_no_mixed
((one && two)) || fail "a version was never called"
