#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Make a transition with in-tree livepatch on PREEMPT_RT, before the kernel's own suite runs.
# In-tree livepatch's first transition triggers one lockdep warning there (see
# ../intree/test-intree.sh), which this test expects. The suite compares the log, so its first
# script with a transition would fail because of the warning.
# expect-log: Call Trace|cut here|WARNING: kernel/livepatch/transition\.c:[0-9]+ at klp_check_stack

set -e
. "$(dirname "$0")/../lib/common.sh"
patch=/sys/kernel/livepatch/test_klp_livepatch

insmod "${RLP_UPSTREAM:-/upstream}/intree/test_modules/test_klp_livepatch.ko"
wait_until "[[ \$(cat $patch/transition) == 0 ]]" 60 ||
	fail "test_klp_livepatch does not complete its transition"
echo 0 >$patch/enabled
wait_until "[[ ! -e $patch ]]" 60 || fail "test_klp_livepatch is not removed from sysfs"
rmmod test_klp_livepatch
