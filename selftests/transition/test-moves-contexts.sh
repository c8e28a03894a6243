#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# No task is switched in a section that the kernel could not have preempted. A caller that is
# not patched makes pairs of patched calls: with preemption off, with a lock held, in soft and
# hard interrupts, and in the idle loop. Such a pair must never be mixed.
# timeout: 240
#
#	RLP_TRANSITIONS=n: reverse the transition n times at most (default: 200)
# guest: quiet

set -e
. "$(dirname "$0")/pairs.sh"
load_loader
load_module pairs_target
reverse_pairs pairs_patch "$RLP" "${RLP_TRANSITIONS:-200}"
expect_pairs
