#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# require_signed=1 keeps patches out that have no signature, as those of the tests. What the
# kernel notes when it has verified one, a patch can note for itself; debug/test-signed.sh
# has a real one.

set -e
. "$(dirname "$0")/../lib/patches.sh"
own_loader
load_module rlp_target

load_module rust_livepatch require_signed=1
remember_state
expect_file /sys/module/rust_livepatch/parameters/require_signed Y
expect_refused EKEYREJECTED "patch 'rlp_patch_a': its signature was not verified" \
	rlp_patch_a funcs=rlp_target:one_show
expect_file $TARGET/one one
[[ -z $(ls -A $RLP) ]] || fail "$(ls $RLP) is left"
pass "a patch whose signature was not verified"
if grep -q ' mod_verify_sig$' /proc/kallsyms; then
	load_patch rlp_patch_a shape=signed funcs=rlp_target:one_show
	expect_file $TARGET/one patched
	unload_patch rlp_patch_a
	pass "one whose signature was"
else
	expect_load_fail EKEYREJECTED rlp_patch_a shape=signed funcs=rlp_target:one_show
	pass "any, on a kernel that knows no signatures"
fi
expect_unchanged
unload_module rust_livepatch
load_loader
load_patch rlp_patch_a funcs=rlp_target:one_show
expect_file $TARGET/one patched
unload_patch rlp_patch_a
pass "without it, the same patch is welcome"
finish
