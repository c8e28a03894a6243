#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# require_signed=1: a patch whose signature the kernel has verified is let in. Without the
# signature, or changed after it was signed, the same patch is not.

set -e
. "$(dirname "$0")/../patches.sh"
own_loader
signed=$RLP_MODULES/signed
[[ -e $signed ]] || fail "tools/stage has found no key of this kernel"
load_module rlp_target
load_module rust_livepatch require_signed=1
remember
patch=(rlp_patch_a funcs=rlp_target:one_show)

refuse EKEYREJECTED "patch 'rlp_patch_a': its signature was not verified" "${patch[@]}"
pass "without a signature"

RLP_MODULES=$signed
load_patch "${patch[@]}"
expect_file $TARGET/one patched
unload_patch rlp_patch_a
expect_file $TARGET/one one
expect_unchanged
pass "signed"

# The kernel itself has the word on this one.
RLP_MODULES=$(mktemp -d)
sed 's/patched/hatched/' "$signed/rlp_patch_a.ko" >"$RLP_MODULES/rlp_patch_a.ko"
! cmp -s {"$signed","$RLP_MODULES"}/rlp_patch_a.ko || fail "nothing was changed"
expect_load_fail EKEYREJECTED "${patch[@]}"
expect_unchanged
rm -r "$RLP_MODULES"
pass "changed since it was signed"
finish
