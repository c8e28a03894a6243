#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Before the kernel's own suite, with in-tree livepatch on PREEMPT_RT: what lockdep says there
# once of in-tree's first transition (../test-intree.sh), where it is expected. The suite
# compares the log, so the first script with a transition would fail for that warning.
# expect-log: Call Trace|cut here|WARNING: kernel/livepatch/transition\.c:[0-9]+ at klp_check_stack

set -e
. "$(dirname "$0")/../lib.sh"
patch=/sys/kernel/livepatch/test_klp_livepatch

insmod "${RLP_UPSTREAM:-/upstream}/intree/test_modules/test_klp_livepatch.ko"
wait_until "[[ \$(cat $patch/transition) == 0 ]]" 60 || fail "it does not end its transition"
echo 0 >$patch/enabled
wait_until "[[ ! -e $patch ]]" 60 || fail "it does not go"
rmmod test_klp_livepatch
