#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# require_signed=1: a patch can be loaded if the kernel has verified its signature. The same
# patch is refused without a signature, and if it was changed after it was signed.

set -e
. "$(dirname "$0")/../lib/patches.sh"
own_loader
signed=$RLP_MODULES/signed
[[ -e $signed ]] || fail "scripts/guest/stage found no signing key of this kernel"
load_module rlp_target
load_module rust_livepatch require_signed=1
remember_state
patch=(rlp_patch_a funcs=rlp_target:one_show)

expect_refused EKEYREJECTED \
	"patch 'rlp_patch_a' cannot be enabled: its signature was not verified" "${patch[@]}"
pass "without a signature"

RLP_MODULES=$signed
load_patch "${patch[@]}"
expect_file $TARGET/one patched
unload_patch rlp_patch_a
expect_file $TARGET/one one
expect_unchanged
pass "signed"

# Here the kernel itself refuses the module, before the loader sees it.
RLP_MODULES=$(mktemp -d)
sed 's/patched/hatched/' "$signed/rlp_patch_a.ko" >"$RLP_MODULES/rlp_patch_a.ko"
! cmp -s {"$signed","$RLP_MODULES"}/rlp_patch_a.ko || fail "the module was not changed"
expect_load_fail EKEYREJECTED "${patch[@]}"
expect_unchanged
rm -r "$RLP_MODULES"
pass "changed since it was signed"
finish
