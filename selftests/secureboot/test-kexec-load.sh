#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Under Secure Boot, with patches in effect: kexec_file_load() takes the signed image of the next
# kernel, and refuses a changed one. kexec_load() takes none. The patches stay in effect. The test
# kexec-boot starts such an image.

set -e
. "$(dirname "$0")/secureboot.sh"
expect_lockdown integrity
image=/secureboot/vmlinuz
work=$(mktemp -d)

kexec_end() {
	local status=$?

	kexec -u -s 2>/dev/null
	rm -r "$work"
	patches_end "$status"
}
trap kexec_end EXIT

# expect_refused_image OPTION IMAGE PATTERN: the image must be refused, and this logged.
expect_refused_image() {
	local output

	new_log
	! output=$(kexec "$1" -l "$2" --command-line=console=ttyS0 2>&1) ||
		fail "kexec $1 has loaded $2"
	expect_log "$3"
	expect_file /sys/kernel/kexec_loaded 0
	echo "# ${output%%$'\n'*}"
}

load_module rust_livepatch require_signed=1
load_module rlp_target
load_patch rlp_patch_a funcs=rlp_target:one_show
wait_until "grep -q jump $RLP/rlp_patch_a/rlp_target/one_show,1/mode" || fail "no jump"

# Remove the signature from a copy of the image: set the address and the size of the certificate
# table in the PE header to 0. In another copy, change four bytes in the middle.
cp $image "$work/unsigned"
pe=$(od -An -tu4 -j60 -N4 $image)
dd if=/dev/zero of="$work/unsigned" bs=1 seek=$((pe + 24 + 144)) count=8 conv=notrunc status=none
cp $image "$work/changed"
size=$(stat -c %s $image)
printf '\xff\xfe\xfd\xfc' |
	dd of="$work/changed" bs=1 seek=$((size / 2)) conv=notrunc status=none
! cmp -s $image "$work/changed" || fail "the image is not changed"
failed='kexec_file: Enforced kernel signature verification failed'
expect_refused_image -s "$work/unsigned" "$failed"
expect_refused_image -s "$work/changed" "$failed"
# Either of two checks of the kernel refuses this system call.
expect_refused_image -c $image \
	'ima: impossible to appraise a kernel image|Lockdown: kexec: kexec of unsigned images'
pass "images without a valid signature are refused"

kexec -s -l $image --command-line=console=ttyS0
expect_file /sys/kernel/kexec_loaded 1
expect_file $TARGET/one patched
load_patch rlp_patch_b funcs=rlp_target:two_show
expect_file $TARGET/two patched
unload_patch rlp_patch_b
pass "a signed image is loaded while patches are in effect"

kexec -s -u
expect_file /sys/kernel/kexec_loaded 0
expect_file $TARGET/one patched
unload_patch rlp_patch_a
expect_file $TARGET/one one
unload_module rlp_target
unload_module rust_livepatch
pass "the image is unloaded, then the patches"
finish
