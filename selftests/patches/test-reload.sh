#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The module of a replaced patch can be unloaded as soon as its directory is gone, and the same
# patch can be loaded again at once.

. "$(dirname "$0")/../lib/common.sh"
set -e
load_loader
load_module livepatch_sample_target

for ((i = 0; i < 5; i++)); do
	load_module rust_livepatch_state1
	wait_settled rust_livepatch_state1
	# This patch replaces rust_livepatch_state1.
	load_module rust_livepatch_state2
	wait_until "[[ ! -d $RLP/rust_livepatch_state1 ]]" ||
		fail "the replaced patch keeps its directory"
	[[ $(cat /sys/module/rust_livepatch_state1/refcnt) == 0 ]] ||
		fail "the replaced patch's module is still in use"
	rmmod rust_livepatch_state1 || fail "the replaced patch's module cannot be unloaded"
	disable_patch rust_livepatch_state2
	unload_module rust_livepatch_state2
done

# A patch is replaced, unloaded, and loaded again at once.
load_module livepatch_cmdline_c
wait_settled livepatch_cmdline_c
load_module rust_livepatch_state2
wait_until "[[ ! -d $RLP/livepatch_cmdline_c ]]" || fail "the replaced patch keeps its directory"
grep -q 'live patched' /proc/cmdline && fail "the replaced patch still has an effect"
rmmod livepatch_cmdline_c
insmod "$(module_file livepatch_cmdline_c)" || fail "the same patch cannot be loaded again"
wait_settled livepatch_cmdline_c
grep -q 'live patched' /proc/cmdline || fail "the patch that was loaded again has no effect"
