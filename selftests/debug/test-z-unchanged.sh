#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# After all tests but those that come behind it by their names, some of which leave
# something on purpose: functions hooked, kprobes, probes on tracepoints and modules are as
# when the machine had booted, and no slab cache has grown out of proportion.

set -e
. "$(dirname "$0")/../lib.sh"
here=$(dirname "$0")
[[ -s ${RLP_STATE:-} ]] || fail "run.sh has not kept the state at boot"

after=$(mktemp)
# What was freed comes back to its cache by and by: what is left each time is left.
for look in 1 2 3 4 5; do
	bash "$here/state" >"$after"
	left=$("$here/grown" "$RLP_STATE" "$after" 500 25)
	[[ $left ]] || break
	echo "# look $look: $(tr '\n' ';' <<<"$left")"
	sleep 1
done
"$here/grown" "$RLP_STATE" "$after" 50 | sed 's/^/# grown: /'
rm "$after"
# Who allocated it, where the machine was booted with slab_debug=F;U,CACHE.
while IFS=: read -r cache _; do
	traces=/sys/kernel/debug/slab/$cache/alloc_traces
	[[ ! -e $traces ]] || sort -rn "$traces" | grep -E '^ *[0-9]+ ' | head -n 20
done <<<"$left"
[[ ! $left ]] || fail "left behind:"$'\n'"$left"
