#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# .klp.rela sections: a patch refers to a symbol that its target does not export. The relocations
# are applied when the target is present, cleared when it is unloaded, and applied again when it
# is loaded again, also after a load that failed. They are cleared when the patch is unloaded,
# too.

. "$(dirname "$0")/../lib/common.sh"
set -e
file=/proc/takeover_target
patched="patched with the target's secret"
[[ -e $(module_file takeover_both) ]] || skip "this kernel has no in-tree livepatch"

check_patched() {
	[[ $(cat $file) == "$patched" ]] || fail "$1: $(cat $file)"
}

load_loader

# The patch is loaded first. Its target is loaded, unloaded, fails to load, and is loaded again.
load_takeover takeover_both
for round in 1 2; do
	load_module takeover_target
	check_patched "round $round"
	unload_module takeover_target
	expect_load_fail ENODEV takeover_target fail=1
done
load_module takeover_target
check_patched "the patch first"
disable_patch takeover_patch
[[ $(cat $file) == original ]] || fail "still patched"
unload_module takeover_patch

# The target is loaded first.
load_takeover takeover_both
check_patched "the target first"

# The module enables its patch again, in three ways: after the patch's directory is gone, after
# the target was unloaded and loaded in between, and as soon as possible.
for round in 1 2 3; do
	disable_patch takeover_patch
	wait_until "! [[ -d $RLP/takeover_patch ]]" || fail "takeover_patch keeps its directory"
	if ((round == 2)); then
		unload_module takeover_target
		load_module takeover_target
	fi
	echo 1 >/sys/module/takeover_patch/parameters/again
	wait_settled takeover_patch
	check_patched "enabled again, $round"
done
echo 0 >$RLP/takeover_patch/enabled
wait_until "{ echo 1 >/sys/module/takeover_patch/parameters/again; } 2>/dev/null" ||
	fail "the patch cannot be enabled again"
wait_settled takeover_patch
check_patched "enabled again as soon as possible"
disable_patch takeover_patch
unload_module takeover_patch
unload_module takeover_target
! log_has 'x86/modules|Invalid relocation' || fail "the kernel complained about a relocation"
