#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# require_signed=1 refuses patches without a signature, like those of the tests. The kernel sets
# a flag in the module when it has verified a signature; here the patch sets that flag itself.
# debug/test-signed.sh has a real signature.

set -e
. "$(dirname "$0")/../lib/patches.sh"
own_loader
load_module rlp_target

load_module rust_livepatch require_signed=1
remember_state
expect_file /sys/module/rust_livepatch/parameters/require_signed Y
expect_refused EKEYREJECTED \
	"patch 'rlp_patch_a' cannot be enabled: its signature was not verified" \
	rlp_patch_a funcs=rlp_target:one_show
expect_file $TARGET/one one
[[ -z $(ls -A $RLP) ]] || fail "$(ls $RLP) is left"
pass "a patch whose signature was not verified"
if grep -q ' mod_verify_sig$' /proc/kallsyms; then
	load_patch rlp_patch_a shape=signed funcs=rlp_target:one_show
	expect_file $TARGET/one patched
	unload_patch rlp_patch_a
	pass "a patch whose signature was verified"
else
	expect_load_fail EKEYREJECTED rlp_patch_a shape=signed funcs=rlp_target:one_show
	pass "any patch, on a kernel that does not support signatures"
fi
expect_unchanged
unload_module rust_livepatch
load_loader
load_patch rlp_patch_a funcs=rlp_target:one_show
expect_file $TARGET/one patched
unload_patch rlp_patch_a
pass "without require_signed the same patch is enabled"
finish
