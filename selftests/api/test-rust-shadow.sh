#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Shadow variables from Rust: the result of each method. Each value must be dropped once.

set -e
. "$(dirname "$0")/../lib/patches.sh"
load_loader
remember_state
new_log

# expect_said < LINES: the module must have logged these lines since the last new_log. Errors
# have names only with CONFIG_SYMBOLIC_ERRNAME.
expect_said() {
	expect "$(log | grep -v taint | sed -n 's/.*\] rlp_rust_shadow: //
		T
		s/Error(17)/EEXIST/
		s/Error(19)/ENODEV/
		p')" "$(cat)" "the log"
}

load_patch rlp_rust_shadow
expect_said <<-END
	get, before: None
	get_mut, before: None
	alloc: Ok(1)
	dropped 2
	alloc again: Err(EEXIST)
	get: Some(1)
	get, other number: None
	get, other object: None
	get_mut, other number: None
	get, changed: Some(11)
	alloc, other number: Ok(3)
	get, both: (Some(11), Some(3))
	get_or_alloc, there: Ok(11)
	get_or_alloc, failed: Err(ENODEV)
	get, after that: None
	remove: Some(11)
	dropped 11
	remove again: None
	get, removed: (None, Some(3))
	remove, other number: Some(3)
	dropped 3
END
pass "get, get_mut, alloc, get_or_alloc, remove"

new_log
unload_patch rlp_rust_shadow
expect_said <<-END
	dropped 5
	get, all freed: (None, Some(6))
	dropped 6
END
expect_unchanged
pass "free_all"

# The next patch finds no variable of this one.
new_log
load_patch rlp_rust_shadow
log_has "alloc: Ok\(1\)" || fail "alloc() did not log the same as before the patch was unloaded"
unload_patch rlp_rust_shadow
expect_unchanged
pass "the same results after the patch was unloaded and loaded again"
finish
