#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Tasks that have left the task list, and not yet their CPU: nobody can find them to
# move them, and what runs on their stacks must not be mixed all the same, however
# often the transition is turned round.
# timeout: 240

set -e
. "$(dirname "$0")/moves.sh"
load_loader
slow=${RLP_SLOW:-1}
load_module moves_target last_words=$((300 / slow))
start_worker moves threads 2
start_worker moves forks 2

# It cannot end in either direction.
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
note "$turns times turned round, $(calls) calls"

# And while transitions begin and end.
release
wait_settled moves_patch1
unload_patch moves_patch1
for ((i = 0; i < 20 / slow; i++)); do
	patch_and_unpatch
done
expect_workers
expect_no_mixed
read -r all _ <$MOVES/counts
note "$((20 / slow)) times on and off, $all calls"
((all > 100000 / slow)) || fail "only $all calls"
