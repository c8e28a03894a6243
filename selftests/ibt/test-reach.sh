#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Run the tests of the guest ibt-two (see TESTS) with a kprobe on each function of the loader that
# an indirect branch may reach (scripts/lib/entries). If the list "calls" names one of the tests for
# a function, the tests must call that function. This shows which functions the same tests call on a
# CPU with IBT.
# guest: long
# timeout: 1200

set -e
. "$(dirname "$0")/../lib/patches.sh"
entries=$RLP_MODULES/rust_livepatch.entries
[[ -s $entries ]] || skip "this kernel has no IBT"
own_loader
here=$(dirname "$0")
mapfile -t names < <(sed -n 's/^ibt-two: *//p' "$here/TESTS" | tr ' ' '\n')

load_module rlp_reach
while IFS=$'\t' read -r symbol _; do
	echo "$symbol" >/sys/module/rlp_reach/parameters/add
done <"$entries"
rc=0
RLP_INNER=1 RLP_AFTER='' bash "$here/../run.sh" "${names[@]}" || rc=$?
# RESULT is the number of calls, or an error number if the kernel allows no kprobe there.
declare -A calls
while read -r result symbol; do
	calls[$symbol]=$result
done </proc/rlp_reach
unload_module rlp_reach
expect $rc 0 "the status of the tests"
pass "the tests ${names[*]} with a kprobe on ${#calls[@]} functions"

# named TESTS: whether the list names one of the tests that have run.
named() {
	local name

	for name in "${names[@]}"; do
		[[ ", $1," != *", $name,"* ]] || return 0
	done
	return 1
}

# The lines of the list are in pairs: the functions, then "CALLER; TESTS".
reached=0 missed=0
while read -r kind pattern && IFS= read -r tests; do
	named "${tests##*; }" || continue
	idle=() called=0
	while IFS=$'\t' read -r symbol name; do
		[[ $name =~ ^($pattern)$ ]] || continue
		if ((calls[$symbol] > 0)); then
			called=$((called + 1))
		else
			idle+=("${calls[$symbol]} calls of $name")
		fi
	done <"$entries"
	reached=$((reached + called))
	((${#idle[@]} == 0)) || [[ $kind == one && $called != 0 ]] || {
		missed=$((missed + ${#idle[@]}))
		printf '# %s\n' "${idle[@]}"
	}
done < <(grep -E -A 1 '^(in|one) ' "$here/calls" | grep -vx -e --)
((missed == 0)) || fail "$missed functions were not called, and $reached were"
((reached > 50)) || fail "only $reached functions were called"
pass "$reached functions were called through a pointer"
finish
