#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What must not be written to "enabled" and "force", and when: the writer gets an
# errno, and nothing is changed.
# timeout: 300

set -e
. "$(dirname "$0")/patches.sh"
load_loader
load_module rlp_target
enabled=$RLP/rlp_patch_a/enabled
force=$RLP/rlp_patch_a/force

load_patch rlp_patch_a funcs=rlp_target:sleep_show
remember

# bad_write ERRNO VALUE FILE
bad_write() {
	expect_fail "$1" write "$2" "$3"
	expect_file "$enabled" 1
	expect_unchanged
	pass "'$2' to $(basename "$3")"
}

bad_write EINVAL junk "$enabled"
bad_write EINVAL 2 "$enabled"
bad_write EINVAL -1 "$enabled"
bad_write EINVAL "" "$enabled"
bad_write EINVAL 1 "$enabled" # its value
bad_write EINVAL 1 "$force"   # nothing moves
bad_write EINVAL junk "$force"
bad_write EINVAL "" "$force"
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
remember

expect_fail EBUSY write 0 "$RLP/rlp_patch_b/enabled"
expect_fail EINVAL write 1 "$RLP/rlp_patch_b/enabled"
expect_fail EINVAL write 1 "$RLP/rlp_patch_b/force"
expect_unchanged
pass "writes to a patch while another one moves"

refuse EBUSY "'rlp_patch_c' has to wait: 'rlp_patch_a' is in transition" \
	rlp_patch_c funcs=rlp_target:one_show
pass "a new patch while another one moves"

expect_fail EEXIST write 1 /sys/module/rlp_patch_a/parameters/again
expect_unchanged
pass "the moving patch once more"

expect_fail EINVAL write 1 "$enabled"
expect_fail EINVAL write 2 "$enabled"
expect_unchanged
expect_file "$RLP/rlp_patch_a/transition" 1
pass "the direction in which it moves already"

in_use rlp_patch_a
expect_unchanged
pass "rmmod of a patch that moves"

wake_up
wait_settled rlp_patch_a
expect_file "$RLP/rlp_patch_a/enabled" 1
expect_file $TARGET/one patched
expect_file $TARGET/two patched
in_use rlp_patch_a
pass "it ends as if nothing had been tried"
finish
