#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The loader's notifier for a panic names the patch that is on probation. The notifiers are called
# as panic() calls them, but the kernel does not panic. After that, the kernel reports no hung tasks
# and no RCU stalls.
# guest: quiet

set -e
. "$(dirname "$0")/../lib/patches.sh"
[[ ${RLP_GUEST:-} ]] || skip "it calls the notifiers of a panic"
start_loader probation=300
load_module rlp_target
message="the kernel panics while patch 'rlp_patch_a' is on probation"

load_patch rlp_patch_a funcs=rlp_target:one_show
new_log
load_module rlp_pointer what=panic
unload_module rlp_pointer
expect_log "$message"
echo 1 >$RLP/rlp_patch_a/confirmed
new_log
load_module rlp_pointer what=panic
unload_module rlp_pointer
! log_has "$message" || fail "a confirmed patch is named"
unload_patch rlp_patch_a
pass "the notifier names the patch on probation, and no confirmed patch"
finish
