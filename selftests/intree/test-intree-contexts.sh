#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The same test as test-moves-contexts.sh, with in-tree livepatch for comparison. In-tree
# livepatch keeps the promises that test-moves-contexts.sh checks.
# timeout: 240
#
#	RLP_TRANSITIONS=n: reverse the transition n times at most (default: 200)
# guest: quiet

set -e
. "$(dirname "$0")/../transition/pairs.sh"
[[ -d /sys/kernel/livepatch ]] || skip "this kernel has no CONFIG_LIVEPATCH"
load_module pairs_target
reverse_pairs pairs_intree /sys/kernel/livepatch "${RLP_TRANSITIONS:-200}"
expect_pairs
