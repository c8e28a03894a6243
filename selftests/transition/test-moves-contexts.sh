#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# No task is switched in the middle of what the kernel could not have preempted: pairs of
# patched calls whose caller is not patched, with preemption off, with a lock held, in
# soft and hard interrupts, and in the idle loop, are never mixed.
# timeout: 240
#
#	RLP_TRANSITIONS=n: so many transitions at most (default: 200)

set -e
. "$(dirname "$0")/pairs.sh"
load_loader
load_module pairs_target
reverse_pairs pairs_patch "$RLP" "${RLP_TRANSITIONS:-200}"
expect_pairs
