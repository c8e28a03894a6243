#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Exiting tasks that have left the task list but still run. The sweep cannot find them. Even so,
# their calls must not be mixed, however often the transition is reversed.
# timeout: 240

set -e
. "$(dirname "$0")/moves.sh"
load_loader
slow=${RLP_SLOW:-1}
load_module moves_target calls_at_exit=$((300 / slow))
start_worker moves threads 2
start_worker moves forks 2

# One straggler in each universe: the transition completes in neither direction.
start_process inside unint old
load_module moves_patch1
start_process inside unint new
turns=0 end=$((SECONDS + 20))
while ((SECONDS < end)); do
	echo 0 >"$P1/enabled"
	echo 1 >"$P1/enabled"
	turns=$((turns + 2))
done
expect_no_mixed
note "reversed $turns times, $(calls) calls"

# The same while transitions begin and complete.
release
wait_settled moves_patch1
unload_patch moves_patch1
for ((i = 0; i < 20 / slow; i++)); do
	patch_and_unpatch
done
expect_workers
expect_no_mixed
read -r all _ <$MOVES/counts
note "patched and unpatched $((20 / slow)) times, $all calls"
((all > 100000 / slow)) || fail "only $all calls"
