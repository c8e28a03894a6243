#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Three patches for one function, disabled in any order. Of the patches that are still enabled, the
# most recently loaded one must be in effect.
# timeout: 300

set -e
. "$(dirname "$0")/../lib/patches.sh"
load_loader
load_module rlp_target
remember_state

# top PATCH...: print the output if these patches are enabled, oldest first.
top() {
	if (($#)); then echo "${@: -1}"; else echo one; fi
}

for order in "a b c" "a c b" "b a c" "b c a" "c a b" "c b a"; do
	left=()
	for patch in a b c; do
		load_patch rlp_patch_$patch says=$patch funcs=rlp_target:one_show
		left+=("$patch")
		expect_file $TARGET/one "$patch"
		expect_file "$RLP/rlp_patch_$patch/stack_order" ${#left[@]}
	done
	for patch in $order; do
		patch_off rlp_patch_$patch
		for i in "${!left[@]}"; do
			[[ ${left[i]} != "$patch" ]] || unset "left[$i]"
		done
		left=("${left[@]}")
		expect_file $TARGET/one "$(top "${left[@]}")"
		for i in "${!left[@]}"; do
			expect_file "$RLP/rlp_patch_${left[i]}/stack_order" $((i + 1))
		done
	done
	for patch in a b c; do
		unload_module rlp_patch_$patch
	done
	expect_unchanged
	pass "three patches, disabled in the order $order"
done

# A patch is disabled below another one, and then loaded again on top of it.
load_patch rlp_patch_a says=a funcs=rlp_target:one_show
load_patch rlp_patch_b says=b funcs=rlp_target:one_show
unload_patch rlp_patch_a
expect_file $TARGET/one b
load_patch rlp_patch_a says=a funcs=rlp_target:one_show
expect_file $TARGET/one a
unload_patch rlp_patch_a
expect_file $TARGET/one b
unload_patch rlp_patch_b
expect_unchanged
pass "disabled below another patch, and loaded again on top"

# A patch that replaces all others disables them, whatever functions they patch.
load_patch rlp_patch_a says=a funcs=rlp_target:one_show
load_patch rlp_patch_b says=b funcs=rlp_target:two_show
load_patch rlp_patch_c says=c replace=Y funcs=rlp_target:one_show
wait_gone rlp_patch_a
wait_gone rlp_patch_b
expect_file $TARGET/one c
expect_file $TARGET/two two
unload_module rlp_patch_a
unload_module rlp_patch_b
unload_patch rlp_patch_c
expect_unchanged
pass "a patch that replaces two others"

# A patch without objects that replaces all others reverts the machine to its original code. It is
# a patch like any other, and the next one can replace it.
for empty in rlp_patch_c rlp_rust_revert; do
	arguments=()
	[[ $empty == rlp_rust_revert ]] || arguments=(replace=Y)
	load_patch rlp_patch_a says=a funcs=rlp_target:one_show
	load_patch rlp_patch_b says=b funcs=rlp_target:two_show
	load_patch $empty "${arguments[@]}"
	wait_gone rlp_patch_a
	wait_gone rlp_patch_b
	expect_file $TARGET/one one
	expect_file $TARGET/two two
	expect_file $RLP/$empty/stack_order 1
	unload_module rlp_patch_a
	load_patch rlp_patch_a says=a replace=Y funcs=rlp_target:one_show
	wait_gone $empty
	expect_file $TARGET/one a
	unload_patch rlp_patch_a
	unload_module rlp_patch_b
	unload_module $empty
	expect_unchanged
	pass "$empty, which has no objects, replaces two others and is replaced"
done

# A patch without objects that replaces nothing changes no function.
load_patch rlp_patch_a says=a funcs=rlp_target:one_show
load_patch rlp_patch_c
expect_file $TARGET/one a
expect_file $RLP/rlp_patch_c/stack_order 2
unload_patch rlp_patch_c
expect_file $TARGET/one a
unload_patch rlp_patch_a
expect_unchanged
pass "a patch without objects that replaces nothing"
finish
