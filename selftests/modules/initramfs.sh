#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A patch that an initramfs has loaded is in effect after the switch to the root, for modules that
# are loaded later, too. It can be stacked, disabled and unloaded like any other. This test runs in
# a guest of its own, which has booted with rdinit=/selftests/modules/initramfs-init.

set -e
. "$(dirname "$0")/../lib/patches.sh"
[[ -e /record ]] || skip "this machine was not booted with initramfs-init"
sed 's/^/# /' /record
here=$RLP/rlp_patch_a

# recorded NAME: print what the init of the initramfs has recorded.
recorded() {
	sed -n "s/^$1: //p" /record
}

expect "$(recorded problem)" "" "the init of the initramfs"
[[ $(stat -c %d /) != "$(recorded root)" ]] || fail "the root is still that of the initramfs"
expect "$(recorded loader)" "$(loader_is_built_in && echo "built in" || echo module)" "the loader"
[[ $(recorded before) == *rdinit=* ]] || fail "before the patch: $(recorded before)"
expect "$(recorded transition)" 0 "the transition in the initramfs"
expect "$(recorded after)" patched "/proc/cmdline in the initramfs"
pass "in effect in the initramfs, before there was a root"

loaded+=(rlp_patch_a)
[[ ! -e /sys/module/rust_livepatch/refcnt ]] || loaded=(rust_livepatch "${loaded[@]}")
expect_file /proc/cmdline patched
expect_file $here/enabled 1
expect_file $here/transition 0
wait_until "[[ \$(<$here/vmlinux/cmdline_proc_show,1/mode) == jump ]]" 30 ||
	fail "the function does not jump: $(<$here/vmlinux/cmdline_proc_show,1/mode)"
pass "in effect after the switch to the root"

expect_file $here/rlp_target/patched 0
load_module rlp_target
expect_file $here/rlp_target/patched 1
expect_file $TARGET/one patched
load_patch rlp_patch_b says=b funcs=rlp_target:one_show
expect_file $TARGET/one b
unload_patch rlp_patch_b
expect_file $TARGET/one patched
pass "a module that is loaded from the root is patched, and another patch can be on top"

if loader_is_built_in; then
	expect_file /sys/module/rust_livepatch/parameters/deadline 60
	expect_file $here/deadline 60
	pass "the parameter on the kernel's command line was in effect"
else
	untested "a parameter on the kernel's command line: the loader is a module"
fi

unload_patch rlp_patch_a
expect_file /proc/cmdline "$(recorded before)"
expect_file $TARGET/one one
unload_module rlp_target
[[ ! -e /sys/module/rust_livepatch/refcnt ]] || unload_module rust_livepatch
pass "the patch of the initramfs is disabled and unloaded"
finish
