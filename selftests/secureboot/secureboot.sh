# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Functions for the tests of this room, on top of lib/patches.sh. scripts/guest/secureboot-disk has
# made the folders: /modules has the modules that are signed with the enrolled key.

. "$(dirname "${BASH_SOURCE[0]}")/../lib/patches.sh"
[[ ${RLP_SECUREBOOT:-} ]] || skip "needs a guest with Secure Boot: make check SECUREBOOT=1"
own_loader

# shellcheck disable=SC2034 # used by the tests
SIGNED=$RLP_MODULES UNSIGNED=/secureboot/unsigned FOREIGN=/secureboot/foreign \
	STRIPPED=/secureboot/stripped
lockdown=/sys/kernel/security/lockdown

# The lines that the kernel logs when it refuses a module. They are explained in
# Documentation/user-guide.rst.
# shellcheck disable=SC2034
no_signature='Loading of unsigned module is rejected' \
	no_key='Loading of module with unavailable key is rejected'

# expect_lockdown LEVEL
expect_lockdown() {
	[[ $(<$lockdown) == *"[$1]"* ]] || fail "the kernel is not locked down to $1: $(<$lockdown)"
}
