#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A patch that is forced out stays in memory for ever, since some task may still be
# in its code. One of the last tests for this reason: what it loads stays.

set -e
. "$(dirname "$0")/moves.sh"
load_moves

load_module moves_patch1
wait_settled moves_patch1
put inside unint straggler
echo 0 >"$P1/enabled"
expect_blocker moves_patch1 straggler inside new_inside
echo 1 >"$P1/force"
wait_until "[[ ! -d $P1 ]]" || fail "the patch is still shown"
loaded=()
expect_version 0
! rmmod moves_patch1 2>/dev/null || fail "it can be removed"
sleep 1
is_loaded moves_patch1 || fail "it is gone"
release
wait $put_pid
expect_version 0
! rmmod moves_patch1 2>/dev/null || fail "it can be removed later"
ok "pinned: $(lsmod | grep '^moves_patch1 ')"
