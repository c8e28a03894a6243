#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The loader and patches of each kind come and go, over and over: hooks, kprobes and
# probes are as before, and no slab cache has grown by an object for each time. What else runs has
# a few objects more or less: only one that has grown by half as many as there were cycles, each
# time that it is looked at, is a leak.
# timeout: 1200

set -e
. "$(dirname "$0")/../patches.sh"
own_loader
here=$(dirname "$0")
cycles=${RLP_CYCLES:-10}
work=$(mktemp -d)

mode_settled() {
	read_file "$1"
	[[ $REPLY != "handler settling" ]]
}

# All that the loader does, failures included.
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

	# Refused, at several depths.
	expect_load_fail EINVAL rlp_patch_c funcs=rlp_target:one_show,rlp_target:no_such_function
	expect_load_fail EINVAL rlp_patch_c funcs=rlp_target:notrace_show
	expect_load_fail ENODEV rust_livepatch_callbacks pre_patch_ret=-19

	# Turned round.
	fall_asleep
	load_module rlp_patch_c funcs=rlp_target:sleep_show
	echo 0 >$RLP/rlp_patch_c/enabled
	wait_gone rlp_patch_c
	unload_module rlp_patch_c
	wake_up

	# A target that comes and goes; callbacks, shadow variables, states.
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

# Caches are filled for the first times; then each may leave nothing.
for ((i = 0; i < 3; i++)); do
	cycle
done
bash "$here/state" >"$work/before"
for ((look = 1; look <= 4; look++)); do
	for ((i = 0; i < cycles; i++)); do
		cycle
	done
	bash "$here/state" >"$work/after"
	"$here/grown" "$work/before" "$work/after" $(((cycles + 1) / 2)) >"$work/now"
	mv "$work/after" "$work/before"
	grep -v ' objects before, ' "$work/now" | sed 's/^/# /' >"$work/changed"
	[[ ! -s $work/changed ]] || fail "after $cycles times:"$'\n'"$(cat "$work/changed")"
	sort <(cut -d: -f1 "$work/now") >"$work/names"
	if ((look == 1)); then cp "$work/names" "$work/always"; else
		comm -12 "$work/always" "$work/names" >"$work/still"
		mv "$work/still" "$work/always"
	fi
	[[ -s $work/always ]] || break
	echo "# look $look: $(paste -sd ';' <"$work/now")"
done
[[ ! -s $work/always ]] || fail "grown each time, the last by:"$'\n'"$(grep -wFf "$work/always" "$work/now")"
pass "$look times $cycles cycles: no cache grows by an object a cycle, hooks and probes are as before"
rm -r "$work"
finish
