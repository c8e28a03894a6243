#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The loader cannot be unloaded while a patch needs it. When it is unloaded, nothing is left.
# timeout: 300

set -e
. "$(dirname "$0")/../lib/patches.sh"
own_loader
load_module rlp_target
remember_state
probes=$(cat $PARAMETERS/sched_switch_users)
symbols=$(wc -l </proc/kallsyms)
load_loader
load_patch rlp_patch_a funcs=rlp_target:one_show

expect_in_use rlp_patch_a
expect_in_use rust_livepatch
[[ $(cat /sys/module/rust_livepatch/refcnt) -gt 0 ]] || fail "the loader's reference count is 0"
expect_file $TARGET/one patched
pass "rmmod of patch and loader while the patch is enabled"

fall_asleep
load_module rlp_patch_b funcs=rlp_target:sleep_show
sleep 0.2
expect_in_use rlp_patch_b
expect_in_use rust_livepatch
wake_up
wait_settled rlp_patch_b
pass "rmmod of patch and loader during a transition"

patch_off rlp_patch_b
patch_off rlp_patch_a
expect_in_use rust_livepatch
pass "rmmod of the loader while modules of patches are loaded"
unload_module rlp_patch_b
unload_module rlp_patch_a
expect_file /sys/module/rust_livepatch/refcnt 0
[[ -z $(ls -A $RLP) ]] || fail "$RLP is not empty"
unload_module rust_livepatch
[[ ! -e $RLP ]] || fail "$RLP still exists"
expect_unchanged
expect_probes "$probes"
expect "$(wc -l </proc/kallsyms)" "$symbols" "number of kernel symbols"
for file in /proc/{kallsyms,modules,vmallocinfo}; do
	! grep -q rust_livepatch $file || fail "the loader is still in $file"
done
expect_file $TARGET/one one
pass "without patches the loader is unloaded, and nothing is left"

# Unload everything at once. The probe on the scheduler would stay for half a second.
load_loader
load_patch rlp_patch_a funcs=rlp_target:one_show
unload_patch rlp_patch_a
unload_module rust_livepatch
expect_probes "$probes"
expect_unchanged
pass "right after a transition"
finish
