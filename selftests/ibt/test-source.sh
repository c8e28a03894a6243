#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A live patch from a source patch (scripts/kernel/build-ibt-patch): the loader calls its callbacks,
# its constructor and its destructor. The replacement is reached through the handler, and then by a
# jump.

set -e
. "$(dirname "$0")/../lib/patches.sh"
[[ -e $RLP_MODULES/ibt_source.ko ]] ||
	skip "the live patch is built only for make check IBT=1"
load_loader
remember_state
new_log
load_patch ibt_source

# The constructor sets the number to 40, and each call of the replacement adds 1.
number=40
is_patched() {
	number=$((number + 1))
	read_file /proc/version
	[[ $REPLY == "number $number Linux version "* ]] || fail "$1: /proc/version reads '$REPLY'"
}
is_patched "the handler returns to the replacement"
mode=$RLP/ibt_source/vmlinux/version_proc_show,1/mode
wait_until "[[ \$(<$mode) == jump ]]" 20 || fail "the mode is '$(<"$mode")'"
is_patched "the function jumps to its replacement"
unload_patch ibt_source
read_file /proc/version
[[ $REPLY == "Linux version "* ]] || fail "without the patch, /proc/version reads '$REPLY'"

expect "$(log | sed -n 's/.*source patch: //p' | xargs)" \
	"pre_patch constructor post_patch pre_unpatch destructor post_unpatch" "the log"
pass "callbacks, a constructor and a destructor of a source patch"
expect_unchanged
finish
