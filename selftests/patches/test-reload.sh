#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A replaced patch's module can be removed as soon as its directory is gone, and the
# same patch loaded again at once.

. "$(dirname "$0")/../lib/common.sh"
set -e
load_loader
load_module livepatch_sample_target

for ((i = 0; i < 5; i++)); do
	load_module rust_livepatch_state1
	wait_settled rust_livepatch_state1
	# This one replaces it.
	load_module rust_livepatch_state2
	wait_until "[[ ! -d $RLP/rust_livepatch_state1 ]]" ||
		fail "the replaced patch keeps its directory"
	[[ $(cat /sys/module/rust_livepatch_state1/refcnt) == 0 ]] ||
		fail "the replaced patch's module is still in use"
	rmmod rust_livepatch_state1 || fail "the replaced patch's module cannot be removed"
	disable_patch rust_livepatch_state2
	unload_module rust_livepatch_state2
done

# And one that replaces itself in turns: the same module, removed and loaded at once.
load_module livepatch_cmdline_c
wait_settled livepatch_cmdline_c
load_module rust_livepatch_state2
wait_until "[[ ! -d $RLP/livepatch_cmdline_c ]]" || fail "the replaced patch keeps its directory"
grep -q 'live patched' /proc/cmdline && fail "the replaced patch is still in force"
rmmod livepatch_cmdline_c
insmod "$(module_file livepatch_cmdline_c)" || fail "the same patch cannot be loaded again"
wait_settled livepatch_cmdline_c
grep -q 'live patched' /proc/cmdline || fail "the patch that was loaded again is not in force"
