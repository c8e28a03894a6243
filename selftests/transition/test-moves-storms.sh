#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout: 240
#
# Tasks that are born and replaced by the hundred while transitions run: each is in
# one universe or in the other.

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
	(($(calls) > before)) || fail "$storm: nobody has called the pair"
	note "$storm: 2 times on and off, $(calls) calls"
done
