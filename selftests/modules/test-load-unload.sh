#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The loader and a patch are loaded and unloaded many times, and leave nothing.
# timeout: 300

set -e
. "$(dirname "$0")/../lib/patches.sh"

own_loader
before=$(cat /proc/cmdline)
remember_state
for ((i = 0; i < 5; i++)); do
	load_loader
	for ((j = 0; j < 2; j++)); do
		load_patch rlp_patch_a "says=\"round $i $j\"" funcs=:cmdline_proc_show
		expect_file /proc/cmdline "round $i $j"
		unload_patch rlp_patch_a
		expect_file /proc/cmdline "$before"
	done
	unload_module rust_livepatch
done
pass "the loader is loaded 5 times, with 2 patches each time"

expect_unchanged
pass "nothing is left"

# The parameters can be written until their files are gone.
promote=/sys/module/rust_livepatch/parameters/promote
done=$(mktemp -u) written=$(mktemp)
(
	trap - EXIT
	while [[ ! -e $done ]]; do
		echo Y >$promote && echo N >$promote && echo >>"$written"
	done
) 2>/dev/null &
for ((i = 0; i < 10; i++)); do
	load_loader
	load_patch rlp_patch_a funcs=:cmdline_proc_show
	unload_patch rlp_patch_a
	unload_module rust_livepatch
done
touch "$done"
wait
[[ -s $written ]] || fail "no parameter was written"
rm "$done" "$written"
expect_unchanged
pass "the loader is loaded 10 times while its parameters are written"
finish
