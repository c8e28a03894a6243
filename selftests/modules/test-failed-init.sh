#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A target whose init fails leaves nothing behind: its patch is as before, can be
# disabled and unloaded, and the target can come later.

. "$(dirname "$0")/../lib/common.sh"
set -e
patched=$RLP/takeover_patch/takeover_target/patched
[[ -e $(module_file takeover_alone) ]] || skip "this kernel has no in-tree livepatch"

own_loader
load_loader
load_takeover takeover_alone
for ((i = 0; i < 3; i++)); do
	expect_load_fail ENODEV takeover_target fail=1
	[[ $(cat "$patched") == 0 ]] || fail "a module that did not load is patched"
done
log_has "reverting patch 'takeover_patch' on unloading module 'takeover_target'" ||
	fail "the failed module was not reverted"

load_module takeover_target
[[ $(cat "$patched") == 1 ]] || fail "the module that did load is not patched"
[[ $(cat /proc/takeover_target) == "patched alone" ]] || fail "the patch is not in force"
unload_module takeover_target

expect_load_fail ENODEV takeover_target fail=1
disable_patch takeover_patch || fail "the patch cannot be disabled"
unload_module takeover_patch
unload_module rust_livepatch
