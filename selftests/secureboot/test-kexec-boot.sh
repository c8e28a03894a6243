#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# With patches in effect, kexec starts the signed kernel again. The test then runs in that kernel,
# too: the kernel is not patched, is locked down, has the enrolled key, and takes the signed loader
# and patch. The test is the last one of its guest, and passes in the second kernel.
# guest: kexec

set -e
. "$(dirname "$0")/secureboot.sh"
[[ ${RLP_GUEST:-} ]] ||
	skip "it starts another kernel, and this machine is not a guest for the tests"
expect_lockdown integrity
patched="this has been live patched"
read_file /proc/cmdline
original=$REPLY

if [[ $original == *RLP_KEXEC=1* ]]; then
	grep -qF 'Kernel is locked down from EFI Secure Boot' /run/boot.log ||
		fail "Secure Boot has not locked the second kernel down: $(</run/boot.log)"
	[[ ! -e $RLP ]] || fail "the second kernel has the loader already"
	pass "the second kernel is locked down, and not patched"

	RLP_MODULES=$UNSIGNED
	new_log
	expect_load_fail EKEYREJECTED rust_livepatch
	expect_log "$no_signature"
	RLP_MODULES=$SIGNED
	load_module rust_livepatch require_signed=1
	load_patch rust_livepatch_cmdline
	expect_file /proc/cmdline "$patched"
	unload_patch rust_livepatch_cmdline
	expect_file /proc/cmdline "$original"
	unload_module rust_livepatch
	pass "the second kernel takes the signed loader and patch"
	finish
	exit
fi

load_module rust_livepatch require_signed=1
load_patch rust_livepatch_cmdline
wait_until "grep -q jump $RLP/rust_livepatch_cmdline/vmlinux/cmdline_proc_show,1/mode" ||
	fail "no jump"
expect_file /proc/cmdline "$patched"

# The second kernel gets the files of this guest that the test needs there. An emulated CPU takes
# long for the checksum of everything that kexec loads.
parameters="${original#BOOT_IMAGE=* } RLP_KEXEC=1"
(cd / && find . -xdev ! -path './secureboot/vmlinuz' ! -path './usr/local/bin/*' \
	\( ! -path './modules/*' -o -name 'rust_livepatch*' \) -print0 |
	busybox cpio -0 -o -H newc >/tmp/initramfs)
kexec -s -l /secureboot/vmlinuz --initrd=/tmp/initramfs --command-line="$parameters"
expect_file /sys/kernel/kexec_loaded 1
expect_file /proc/cmdline "$patched"
echo "# the second kernel is started" >/dev/ttyS1
kexec -e
fail "kexec has not started the second kernel"
