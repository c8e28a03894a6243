#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A target whose init fails leaves nothing: its patch is unchanged and can be disabled and
# unloaded, and the target can be loaded later.

. "$(dirname "$0")/../lib/common.sh"
set -e
patched=$RLP/takeover_patch/takeover_target/patched
[[ -e $(module_file takeover_alone) ]] || skip "this kernel has no in-tree livepatch"

own_loader
load_loader
load_takeover takeover_alone
for ((i = 0; i < 3; i++)); do
	expect_load_fail ENODEV takeover_target fail=1
	[[ $(cat "$patched") == 0 ]] || fail "a module whose init failed is shown as patched"
done
log_has "reverting patch 'takeover_patch' on unloading module 'takeover_target'" ||
	fail "the patch was not reverted from the module whose init failed"

load_module takeover_target
[[ $(cat "$patched") == 1 ]] || fail "the module is not patched after a successful init"
[[ $(cat /proc/takeover_target) == "patched alone" ]] || fail "the patch has no effect"
unload_module takeover_target

expect_load_fail ENODEV takeover_target fail=1
disable_patch takeover_patch || fail "the patch cannot be disabled"
unload_module takeover_patch
unload_module rust_livepatch
