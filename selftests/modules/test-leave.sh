#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The loader stays while it is needed, and goes without a trace.
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
[[ $(cat /sys/module/rust_livepatch/refcnt) -gt 0 ]] || fail "nobody holds the loader"
expect_file $TARGET/one patched
pass "rmmod of patch and loader while the patch is enabled"

fall_asleep
load_module rlp_patch_b funcs=rlp_target:sleep_show
sleep 0.2
expect_in_use rlp_patch_b
expect_in_use rust_livepatch
wake_up
wait_settled rlp_patch_b
pass "rmmod of patch and loader while the patch moves"

patch_off rlp_patch_b
patch_off rlp_patch_a
expect_in_use rust_livepatch
pass "rmmod of the loader while modules of patches are there"
unload_module rlp_patch_b
unload_module rlp_patch_a
expect_file /sys/module/rust_livepatch/refcnt 0
[[ -z $(ls -A $RLP) ]] || fail "$RLP is not empty"
unload_module rust_livepatch
[[ ! -e $RLP ]] || fail "$RLP is still there"
expect_unchanged
expect_probes "$probes"
expect "$(wc -l </proc/kallsyms)" "$symbols" "number of kernel symbols"
for file in /proc/{kallsyms,modules,vmallocinfo}; do
	! grep -q rust_livepatch $file || fail "the loader is still in $file"
done
expect_file $TARGET/one one
pass "without patches it goes, and leaves nothing behind"

# At once, with the probe still there that goes half a second after a transition.
load_loader
load_patch rlp_patch_a funcs=rlp_target:one_show
unload_patch rlp_patch_a
unload_module rust_livepatch
expect_probes "$probes"
expect_unchanged
pass "right after a transition"
finish
