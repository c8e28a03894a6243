#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# This test runs after the tests that must leave nothing behind (see TESTS). Some of the tests that
# run later leave something behind on purpose. The hooked functions, kprobes, probes on tracepoints
# and modules must be the same as after boot, and no slab cache may have grown out of proportion.

set -e
. "$(dirname "$0")/../lib/common.sh"
here=$(dirname "$0")
[[ -s ${RLP_STATE:-} ]] || fail "run.sh has not recorded the state after boot"

after=$(mktemp)
# Freed objects return to their caches gradually, so check several times. Objects that are still
# there in the last check are leaked.
for check in 1 2 3 4 5; do
	bash "$here/kernel-state" >"$after"
	left=$("$here/compare-state" "$RLP_STATE" "$after" 500 25)
	[[ $left ]] || break
	echo "# check $check: $(tr '\n' ';' <<<"$left")"
	sleep 1
done
"$here/compare-state" "$RLP_STATE" "$after" 50 | sed 's/^/# grown: /'
rm "$after"
# Print which functions allocated the objects, if the machine was booted with
# slab_debug=F;U,CACHE.
while IFS=: read -r cache _; do
	traces=/sys/kernel/debug/slab/$cache/alloc_traces
	[[ ! -e $traces ]] || sort -rn "$traces" | grep -E '^ *[0-9]+ ' | head -n 20
done <<<"$left"
[[ ! $left ]] || fail "left behind:"$'\n'"$left"
