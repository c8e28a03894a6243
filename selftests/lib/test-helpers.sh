#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The functions of common.sh that wait for a patch fail if there is no such patch, or if its file
# cannot be read: a test that waits for the wrong patch must not pass. The patches are folders with
# files, and the loader is not used.

set -e
. "$(dirname "$0")/patches.sh"
loaders_folder=$RLP
RLP=$(mktemp -d)

# must_fail COMMAND...: the command must fail or end its shell with a failure.
must_fail() {
	if ("$@") >/dev/null 2>&1; then
		fail "'$*' succeeded"
	fi
}

# make_patch TRANSITION: make a patch that is enabled.
make_patch() {
	mkdir -p "$RLP/fake"
	echo 1 >"$RLP/fake/enabled"
	echo "$1" >"$RLP/fake/transition"
}

must_fail patch_settled fake
must_fail wait_settled fake 1
must_fail disable_patch fake
pass "a patch that does not exist is neither settled nor disabled"

make_patch ''
must_fail patch_settled fake
make_patch 1
must_fail patch_settled fake
must_fail wait_settled fake 1
pass "a patch in transition, or without a value, is not settled"

make_patch 0
wait_settled fake 1
(nap 0.3 && expect_file "$RLP/fake/enabled" 0 && rm -r "$RLP/fake") &
disable_patch fake
wait $!
pass "a patch is settled when its file says so, and disabled when it is gone"

rmdir "$RLP"
# shellcheck disable=SC2034 # used by cleanup()
RLP=$loaders_folder
finish
