#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The condition of all other tests of this room: the firmware has Secure Boot switched on, and so
# the kernel is locked down. It trusts the enrolled key, and not the foreign key.

set -e
. "$(dirname "$0")/secureboot.sh"
log=/run/boot.log # the kernel's log when init was started

expect_boot_log() {
	grep -qF "$1" $log || {
		grep -iE 'secure|lockdown|locked down|X\.509' $log | sed 's/^/#   /'
		fail "the kernel has not logged '$1' while it booted"
	}
}

# A variable of the firmware has four bytes of attributes before its value.
read -ra bytes < <(od -An -tu1 /sys/firmware/efi/efivars/SecureBoot-*)
expect "${bytes[4]}" 1 "the firmware's variable SecureBoot"
expect_boot_log 'secureboot: Secure boot enabled'
pass "Secure Boot is switched on"

expect_boot_log 'Kernel is locked down from EFI Secure Boot'
expect_lockdown integrity
expect_fail EPERM dd if=/dev/mem of=/dev/null count=1
expect_fail EPERM write none $lockdown
pass "the kernel is locked down"

expect_boot_log "Loaded X.509 cert 'rust_livepatch selftests: enrolled: "
! grep -qF 'rust_livepatch selftests: foreign' $log || fail "the foreign key is enrolled"
grep -qF 'rust_livepatch selftests: enrolled: ' /proc/keys ||
	fail "the enrolled key is in no keyring: $(cat /proc/keys)"
pass "the kernel trusts the enrolled key"
finish
