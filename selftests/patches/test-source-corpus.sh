#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Live patches for functions that were drawn at random (scripts/livepatch-corpus) are loaded one
# after another on a busy machine. All of them stay loaded and redirect their functions. Then they
# are unloaded. The kernel logs no complaint.
# timeout: 600
# guest: built

set -e
. "$(dirname "$0")/../lib/patches.sh"
corpus=$RLP_MODULES/corpus
[[ -s $corpus/loads ]] || skip "scripts/livepatch-corpus has not been run"
load_loader

# Load the modules that are patched, and those that they need. If a module needs hardware, it may
# fail to load: its patch then waits for the module.
targets=()
if [[ -e $corpus/targets/order ]]; then
	while read -r target; do
		! insmod "$corpus/targets/$target.ko" 2>/dev/null || targets+=("$target")
	done <"$corpus/targets/order"
fi
references() {
	local target

	for target in "${targets[@]}"; do
		echo "$target $(</sys/module/"$target"/refcnt)"
	done
}
references_before=$(references)
remember_state
RLP_MODULES=$corpus

while :; do find /proc/self /sys/kernel -type f | wc -l; done >/dev/null 2>&1 &
busy=$!

redirected() { # OBJECT FUNCTION
	grep -qE "^${2//./\\.}( |\[)" /sys/kernel/tracing/enabled_functions ||
		fail "$2 of $1 is not in enabled_functions"
}

names=() functions=0 absent=0
while IFS=$'\t' read -r name object function; do
	if ! is_loaded "$name"; then
		load_patch "$name"
		names+=("$name")
	fi
	functions=$((functions + 1))
	if [[ $object == vmlinux ]] || is_loaded "$object"; then
		expect_file "$RLP/$name/$object/patched" 1
		redirected "$object" "$function"
	else
		absent=$((absent + 1))
	fi
done <"$corpus/loads"
pass "$functions functions by ${#names[@]} patches, $absent of them of modules that are not here"
for name in "${names[@]}"; do
	unload_patch "$name"
done
kill $busy
wait $busy 2>/dev/null || true
expect_unchanged
[[ $(references) == "$references_before" ]] ||
	fail "a module is still held: $(diff <(echo "$references_before") <(references) | xargs)"
pass "all are gone"
# A module may hold itself, as sctp does, so it stays.
for ((i = ${#targets[@]} - 1; i >= 0; i--)); do
	rmmod "${targets[i]}" 2>/dev/null || true
done
finish
