#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# How long a transition takes when nothing else happens.

set -e
. "$(dirname "$0")/moves.sh"
load_moves

median() {
	sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

on=() off=()
for ((i = 0; i < 20; i++)); do
	load_module moves_patch1
	wait_settled moves_patch1
	on+=("$(cat "$P1/transition_us")")
	start=${EPOCHREALTIME/./}
	echo 0 >"$P1/enabled"
	wait_gone moves_patch1
	off+=($((${EPOCHREALTIME/./} - start)))
done
on_median=$(printf '%s\n' "${on[@]}" | median)
ok "transition_us of 20: median $on_median, longest $(printf '%s\n' "${on[@]}" | sort -n | tail -n 1)"
ok "us from disabling to rmmod: median $(printf '%s\n' "${off[@]}" | median)"
((on_median < 200000 * ${RLP_SLOW:-1})) || fail "a transition takes $on_median us"
