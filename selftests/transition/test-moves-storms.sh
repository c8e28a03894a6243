#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout: 240
#
# Hundreds of tasks fork and exec while transitions run: each task must be in one universe.

set -e
. "$(dirname "$0")/moves.sh"
load_moves

for storm in forks threads execs; do
	before=$(calls)
	start_worker nice -n 10 moves $storm 3
	for ((i = 0; i < 2; i++)); do
		patch_and_unpatch
	done
	stop_workers
	expect_no_mixed
	(($(calls) > before)) || fail "$storm: the pair was not called"
	note "$storm: patched and unpatched 2 times, $(calls) calls"
done
