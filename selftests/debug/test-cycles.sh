#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Load and unload the loader and patches of each kind, over and over. Afterwards the hooks,
# kprobes and probes must be the same as before, and no slab cache may have grown by an object
# per cycle. Other activity of the machine changes the number of objects in a cache a little.
# So a cache is reported as a leak only if, in every one of the checks, it has grown by at least
# half an object per cycle.
# timeout: 1200

set -e
. "$(dirname "$0")/../lib/patches.sh"
own_loader
here=$(dirname "$0")
cycles=${RLP_CYCLES:-10}
work=$(mktemp -d)

mode_settled() {
	read_file "$1"
	[[ $REPLY != "handler settling" ]]
}

# Use each feature of the loader, and provoke errors.
cycle() {
	load_loader
	load_module rlp_target
	load_module livepatch_sample_target

	load_patch rlp_patch_a funcs=rlp_target:one_show,:cmdline_proc_show,absent:any
	wait_until "mode_settled $RLP/rlp_patch_a/rlp_target/one_show,1/mode"
	load_patch rlp_patch_b says=b replace=Y funcs=rlp_target:one_show,rlp_target:two_show
	wait_gone rlp_patch_a
	unload_module rlp_patch_a
	unload_patch rlp_patch_b

	# Patches that are refused, at several stages of enabling.
	expect_load_fail EINVAL rlp_patch_c funcs=rlp_target:one_show,rlp_target:no_such_function
	expect_load_fail EINVAL rlp_patch_c funcs=rlp_target:notrace_show
	expect_load_fail ENODEV rust_livepatch_callbacks pre_patch_ret=-19

	# A transition that is reversed.
	fall_asleep
	load_module rlp_patch_c funcs=rlp_target:sleep_show
	echo 0 >$RLP/rlp_patch_c/enabled
	wait_gone rlp_patch_c
	unload_module rlp_patch_c
	wake_up

	# A target module that is unloaded and loaded; callbacks, shadow variables, states.
	load_patch rust_livepatch_late
	load_patch rust_livepatch_callbacks
	unload_module livepatch_sample_target
	load_module livepatch_sample_target
	unload_patch rust_livepatch_callbacks
	unload_patch rust_livepatch_late
	load_patch rust_livepatch_shadow
	cat /proc/livepatch_sample/session >/dev/null
	unload_patch rust_livepatch_shadow
	load_patch rust_livepatch_state1
	load_patch rust_livepatch_state2
	wait_gone rust_livepatch_state1
	unload_module rust_livepatch_state1
	unload_patch rust_livepatch_state2

	unload_module livepatch_sample_target
	unload_module rlp_target
	unload_module rust_livepatch
}

# The first cycles fill caches. The cycles after them must leave nothing behind.
for ((i = 0; i < 3; i++)); do
	cycle
done
bash "$here/kernel-state" >"$work/before"
for ((check = 1; check <= 4; check++)); do
	for ((i = 0; i < cycles; i++)); do
		cycle
	done
	bash "$here/kernel-state" >"$work/after"
	"$here/compare-state" "$work/before" "$work/after" $(((cycles + 1) / 2)) >"$work/now"
	mv "$work/after" "$work/before"
	grep -v ' objects before, ' "$work/now" | sed 's/^/# /' >"$work/changed"
	[[ ! -s $work/changed ]] || fail "after $cycles cycles:"$'\n'"$(cat "$work/changed")"
	sort <(cut -d: -f1 "$work/now") >"$work/names"
	if ((check == 1)); then cp "$work/names" "$work/always"; else
		comm -12 "$work/always" "$work/names" >"$work/still"
		mv "$work/still" "$work/always"
	fi
	[[ -s $work/always ]] || break
	echo "# check $check: $(paste -sd ';' <"$work/now")"
done
if [[ -s $work/always ]]; then
	grown=$(grep -wFf "$work/always" "$work/now")
	fail "grown in every check, in the last one by:"$'\n'"$grown"
fi
pass "$check times $cycles cycles: no cache grows by an object a cycle, hooks and probes are as before"
rm -r "$work"
finish
