#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Invalid writes to "enabled" and "force": the writer gets an errno, the reason is logged, and
# nothing is changed.
# timeout: 300

set -e
. "$(dirname "$0")/../lib/patches.sh"
load_loader
load_module rlp_target
enabled=$RLP/rlp_patch_a/enabled
force=$RLP/rlp_patch_a/force

load_patch rlp_patch_a funcs=rlp_target:sleep_show
remember_state

# refuse_write ERRNO LINE VALUE FILE: the write must fail with this errno and log this line.
refuse_write() {
	local errno=$1 line=$2
	shift 2

	new_log
	expect_fail "$errno" write "$@"
	expect_log "rust_livepatch: $line\$"
	expect_unchanged
}

# bad_write VALUE FILE: the value is not a boolean, and must be refused.
bad_write() {
	refuse_write EINVAL "patch 'rlp_patch_a': the value of ${2##*/} must be 0 or 1" "$@"
	expect_file "$enabled" 1
	pass "'$1' is written to ${2##*/}"
}

for file in "$enabled" "$force"; do
	for value in junk 2 -1 ""; do
		bad_write "$value" "$file"
	done
	moves put "$file" "" || fail "an empty write to $file is an error"
	expect_unchanged
	pass "a write of no bytes to ${file##*/}"
done
refuse_write EINVAL "patch 'rlp_patch_a' is already enabled" 1 "$enabled"
pass "a write of the value that enabled already has"
refuse_write EINVAL "patch 'rlp_patch_a' is not in transition" 1 "$force"
pass "force without a transition"
write 0 "$force" || fail "force=0 is an error"
expect_unchanged
pass "'0' is written to force, which has no effect"
refuse_write EINVAL "patch 'rlp_patch_a': the value of confirmed must be 1" 0 \
	"$RLP/rlp_patch_a/confirmed"
pass "'0' is written to confirmed"
unload_patch rlp_patch_a

# During a transition the patch may be reversed, and no other patch may be changed.
load_patch rlp_patch_b funcs=rlp_target:two_show
fall_asleep
load_module rlp_patch_a funcs=rlp_target:sleep_show,rlp_target:one_show
sleep 0.2
expect_file "$RLP/rlp_patch_a/transition" 1
remember_state

refuse_write EBUSY "patch 'rlp_patch_b' cannot start a transition: 'rlp_patch_a' is in transition" \
	0 "$RLP/rlp_patch_b/enabled"
expect_log "patch 'rlp_patch_b' was not disabled \(-16\)"
refuse_write EINVAL "patch 'rlp_patch_b' is already enabled" 1 "$RLP/rlp_patch_b/enabled"
refuse_write EINVAL "patch 'rlp_patch_b' is not in transition" 1 "$RLP/rlp_patch_b/force"
pass "writes to a patch during the transition of another one"

expect_refused EBUSY \
	"patch 'rlp_patch_c' cannot start a transition: 'rlp_patch_a' is in transition" \
	rlp_patch_c funcs=rlp_target:one_show
pass "a new patch during the transition of another one"

expect_fail EEXIST write 1 /sys/module/rlp_patch_a/parameters/again
expect_unchanged
pass "the same patch again during its transition"

refuse_write EINVAL "patch 'rlp_patch_a' is already enabled" 1 "$enabled"
bad_write 2 "$enabled"
expect_file "$RLP/rlp_patch_a/transition" 1
pass "the direction that the transition already has"

expect_in_use rlp_patch_a
expect_unchanged
pass "rmmod of a patch in transition"

wake_up
wait_settled rlp_patch_a
expect_file "$RLP/rlp_patch_a/enabled" 1
expect_file $TARGET/one patched
expect_file $TARGET/two patched
expect_in_use rlp_patch_a
pass "the transition completes as if nothing had been written"
finish
