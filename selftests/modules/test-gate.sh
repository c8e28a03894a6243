#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Kernels that lack what the loader looks up, as far as this one can play them: what
# is missing is named; without what it needs the loader does not load; without the
# rest it works.
# timeout: 300

set -e
. "$(dirname "$0")/../lib/patches.sh"
own_loader
load_module rlp_target

# lacking PATTERN: the symbols of that pattern that the loader misses.
lacking() {
	log | sed -n "s/.*rust_livepatch: the kernel lacks '\([a-z_]*\)'$1.*/\1/p"
}

remember_state
new_log
expect_load_fail ENOENT rust_livepatch 'without=*'
mapfile -t needed < <(lacking ', which the loader needs')
mapfile -t optional < <(lacking ': ')
((${#needed[@]} >= 5 && ${#optional[@]} >= 5)) ||
	fail "without anything, only ${needed[*]} and ${optional[*]} are missed"
expect_unchanged
pass "${#needed[@]} symbols are needed, ${#optional[@]} are not"

for symbol in "${needed[@]}"; do
	new_log
	expect_load_fail ENOENT rust_livepatch without="$symbol"
	expect_log "the kernel lacks '$symbol', which the loader needs"
	[[ ! -e $RLP ]] || fail "$RLP is there without $symbol"
done
expect_unchanged
pass "each that is needed is named, and the loader does not load"

for symbol in "${optional[@]}"; do
	new_log
	load_module rust_livepatch without="$symbol"
	expect_log "the kernel lacks '$symbol': "
	load_patch rlp_patch_a funcs=rlp_target:one_show,:cmdline_proc_show
	expect_file $TARGET/one patched
	unload_patch rlp_patch_a
	expect_file $TARGET/one one
	unload_module rust_livepatch
done
expect_unchanged
pass "without each of the others it works: ${optional[*]}"

new_log
load_module rust_livepatch
! log_has "the kernel lacks" || fail "a symbol is missed on a kernel that has all"
unload_module rust_livepatch
finish
