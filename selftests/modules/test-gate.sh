#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Kernels that lack symbols which the loader looks up, simulated with a parameter. Each missing
# symbol is named in the log. Without a needed symbol the loader does not load; without an
# optional one it works.
# timeout: 300

set -e
. "$(dirname "$0")/../lib/patches.sh"
own_loader
needs_gate
load_module rlp_target

# lacking PATTERN: print the symbols that the loader lacks according to lines with this pattern.
lacking() {
	log | sed -n "s/.*rust_livepatch: the kernel lacks '\([a-z_]*\)'$1.*/\1/p"
}

remember_state
new_log
expect_load_fail ENOENT rust_livepatch 'without=*'
mapfile -t needed < <(lacking ', which the loader needs')
mapfile -t optional < <(lacking ': ')
((${#needed[@]} >= 5 && ${#optional[@]} >= 5)) ||
	fail "without any symbol, the loader lacks only ${needed[*]} and ${optional[*]}"
expect_unchanged
pass "${#needed[@]} symbols are needed, ${#optional[@]} are not"

for symbol in "${needed[@]}"; do
	new_log
	expect_load_fail ENOENT rust_livepatch without="$symbol"
	expect_log "the kernel lacks '$symbol', which the loader needs"
	[[ ! -e $RLP ]] || fail "$RLP exists without $symbol"
done
expect_unchanged
pass "the loader does not load without a needed symbol, and names it"

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
pass "the loader works without an optional symbol: ${optional[*]}"

new_log
load_module rust_livepatch
! log_has "the kernel lacks" || fail "the loader lacks a symbol on a kernel that has all"
unload_module rust_livepatch
finish
