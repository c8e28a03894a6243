#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What must not be written to "enabled" and "force", and when: the writer gets an
# errno, the log says why, and nothing is changed.
# timeout: 300

set -e
. "$(dirname "$0")/../lib/patches.sh"
load_loader
load_module rlp_target
enabled=$RLP/rlp_patch_a/enabled
force=$RLP/rlp_patch_a/force

load_patch rlp_patch_a funcs=rlp_target:sleep_show
remember_state

# refuse_write ERRNO LINE VALUE FILE
refuse_write() {
	local errno=$1 line=$2
	shift 2

	new_log
	expect_fail "$errno" write "$@"
	expect_log "rust_livepatch: $line\$"
	expect_unchanged
}

# bad_write VALUE FILE: not a boolean.
bad_write() {
	refuse_write EINVAL "'rlp_patch_a': ${2##*/} takes 0 or 1" "$@"
	expect_file "$enabled" 1
	pass "'$1' to ${2##*/}"
}

for file in "$enabled" "$force"; do
	for value in junk 2 -1 ""; do
		bad_write "$value" "$file"
	done
	moves put "$file" "" || fail "an empty write to $file is an error"
	expect_unchanged
	pass "nothing to ${file##*/}"
done
refuse_write EINVAL "'rlp_patch_a' is enabled already" 1 "$enabled"
pass "its value to enabled"
refuse_write EINVAL "'rlp_patch_a' is not in transition" 1 "$force"
pass "force while nothing moves"
write 0 "$force" || fail "force=0 is an error"
expect_unchanged
pass "'0' to force asks for nothing"
unload_patch rlp_patch_a

# While a patch moves, it may be turned round, and no other may be changed.
load_patch rlp_patch_b funcs=rlp_target:two_show
fall_asleep
load_module rlp_patch_a funcs=rlp_target:sleep_show,rlp_target:one_show
sleep 0.2
expect_file "$RLP/rlp_patch_a/transition" 1
remember_state

refuse_write EBUSY "patch 'rlp_patch_b' has to wait: 'rlp_patch_a' is in transition" \
	0 "$RLP/rlp_patch_b/enabled"
expect_log "'rlp_patch_b' stays enabled \(-16\)"
refuse_write EINVAL "'rlp_patch_b' is enabled already" 1 "$RLP/rlp_patch_b/enabled"
refuse_write EINVAL "'rlp_patch_b' is not in transition" 1 "$RLP/rlp_patch_b/force"
pass "writes to a patch while another one moves"

expect_refused EBUSY "'rlp_patch_c' has to wait: 'rlp_patch_a' is in transition" \
	rlp_patch_c funcs=rlp_target:one_show
pass "a new patch while another one moves"

expect_fail EEXIST write 1 /sys/module/rlp_patch_a/parameters/again
expect_unchanged
pass "the moving patch once more"

refuse_write EINVAL "'rlp_patch_a' is enabled already" 1 "$enabled"
bad_write 2 "$enabled"
expect_file "$RLP/rlp_patch_a/transition" 1
pass "the direction in which it moves already"

expect_in_use rlp_patch_a
expect_unchanged
pass "rmmod of a patch that moves"

wake_up
wait_settled rlp_patch_a
expect_file "$RLP/rlp_patch_a/enabled" 1
expect_file $TARGET/one patched
expect_file $TARGET/two patched
expect_in_use rlp_patch_a
pass "it ends as if nothing had been tried"
finish
