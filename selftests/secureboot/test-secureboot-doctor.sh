#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# rlp says that Secure Boot is switched on, whether the kernel has the key of a module, and how a
# key is enrolled.

set -e
. "$(dirname "$0")/secureboot.sh"
expect_lockdown integrity
command -v rlp >/dev/null || skip "the program rlp is not installed (make programs)"
patch=rust_livepatch_cmdline
updates=/lib/modules/$(uname -r)/updates

doctor_end() {
	local status=$?

	rm -rf "$updates"
	patches_end "$status"
}
trap doctor_end EXIT

# run STATUS COMMAND...: rlp must end with this status. Its output is in $out.
run() {
	local wanted=$1 status=0
	shift

	out=$(rlp "$@" 2>&1) || status=$?
	((status == wanted)) || fail "rlp $*: status $status instead of $wanted: $out"
}

says() {
	grep -qF -- "$1" <<<"$out" || fail "no '$1' in: $out"
}

# install_loader FOLDER: install the loader of this folder, as make install does.
install_loader() {
	mkdir -p "$updates"
	cp "$1/rust_livepatch.ko" "$updates/"
}

has_key="is signed with the key 'rust_livepatch selftests: enrolled', which the kernel has"
lacks="is signed with the key 'rust_livepatch selftests: foreign', which the kernel does not have"
unsigned='is not signed, and the kernel requires a signature'
enrol='next: mokutil --import CERTIFICATE.der'

install_loader "$SIGNED"
run 0 check --kernel
says 'Secure Boot is switched on'
says 'the kernel is locked down'
says "$updates/rust_livepatch.ko $has_key"
install_loader "$FOREIGN"
run 6 doctor
says 'Secure Boot is switched on'
says "wrong  $updates/rust_livepatch.ko $lacks"
says "$enrol"
install_loader "$UNSIGNED"
run 6 doctor
says "wrong  $updates/rust_livepatch.ko $unsigned"
pass "the key of the loader"

run 0 check "$SIGNED/$patch.ko"
says "$patch.ko $has_key"
run 6 check "$FOREIGN/$patch.ko"
says "$patch.ko $lacks"
says "$enrol"
run 6 check "$UNSIGNED/$patch.ko"
says "$patch.ko $unsigned"
pass "the key of a patch"

# The findings of rlp are true.
load_loader
run 3 load "$FOREIGN/$patch.ko"
says 'it is not signed with a key that the kernel trusts'
run 3 load "$UNSIGNED/$patch.ko"
says 'it is not signed with a key that the kernel trusts'
loaded+=("$patch")
run 0 load "$SIGNED/$patch.ko"
says "$patch: loaded"
run 0 status --nagios
run 0 unload "$patch"
unload_module rust_livepatch
pass "rlp loads the patch whose key the kernel has, and no other"
finish
