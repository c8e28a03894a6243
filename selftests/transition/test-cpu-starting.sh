#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A CPU that is being brought online calls functions before RCU waits for it. If one of them is
# hooked, the handler reads the view there. The view must not be freed before the handler has left
# it, although no grace period covers that.
# timeout: 180
# guest: quiet

set -e
. "$(dirname "$0")/../lib/patches.sh"
STARTING=/sys/module/rlp_starting/parameters
trap 'test_ends $?' EXIT

test_ends() {
	[[ ! -e $STARTING/hold ]] || echo N >$STARTING/hold
	[[ ! ${cpu:-} ]] || echo 1 >"$cpu/online"
	patches_end "$1"
}


cpus=(/sys/devices/system/cpu/cpu[1-9]*)
cpu=${cpus[-1]}
[[ -e $cpu/online ]] || skip "no CPU can go offline"
# A function that jumps does not read the view, so no function may be promoted.
start_loader promote=N
load_module rlp_starting
# load_ucode_ap() loads microcode on a CPU that starts. In a guest it does nothing.
load_patch rlp_patch_a says=late funcs=:load_ucode_ap=nothing,rlp_target:one_show
wait_until "read_file $RLP/rlp_patch_a/vmlinux/load_ucode_ap,1/mode; [[ \$REPLY == 'handler off' ]]" ||
	fail "load_ucode_ap() is '$REPLY'"
patched=$RLP/rlp_patch_a/rlp_target/patched
expect_file "$patched" 0

# Without a hold: the CPU starts with the hooked function.
echo 0 >"$cpu/online"
echo 1 >"$cpu/online"
expect_file $STARTING/held 0

# Load a module for which the patch has an object, so that the loader replaces the view. The
# loader's notifier returns only after the old view is freed. Until then, a read of the file
# "patched" waits.
echo 0 >"$cpu/online"
echo Y >$STARTING/hold
echo 1 >"$cpu/online" &
starter=$!
wait_until "read_file $STARTING/held; [[ \$REPLY == 1 ]]" 4 ||
	fail "the CPU is not in the handler: held $REPLY"
new_log
insmod "$(module_file rlp_target)" &
loaded+=(rlp_target)
wait_until "log_has 'applying patch .rlp_patch_a. to loading module'" 5 ||
	fail "rlp_target is not being loaded"
shown=$(mktemp)
cat "$patched" >"$shown" &
sleep 1
expect_file $STARTING/timeouts 0
[[ ! -s $shown ]] || fail "the view was freed while a CPU that starts was in the handler"
echo N >$STARTING/hold
wait $starter
wait
expect_file "$shown" 1
expect_file "$cpu/online" 1
rm "$shown"
cpu=
expect_file $TARGET/one late
pass "the view is kept for a CPU that starts"

unload_patch rlp_patch_a
unload_module rlp_target
unload_module rlp_starting
stop_loader
finish
