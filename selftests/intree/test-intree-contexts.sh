#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The same as test-moves-contexts.sh by in-tree livepatch, to compare with: what is promised
# there is what in-tree livepatch keeps.
# timeout: 240
#
#	RLP_TRANSITIONS=n: so many transitions at most (default: 200)

set -e
. "$(dirname "$0")/../transition/pairs.sh"
[[ -d /sys/kernel/livepatch ]] || skip "this kernel has no CONFIG_LIVEPATCH"
load_module pairs_target
reverse_pairs pairs_intree /sys/kernel/livepatch "${RLP_TRANSITIONS:-200}"
expect_pairs
