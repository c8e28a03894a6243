#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Check which lines of the kernel's log the upstream suite sees (selftests/upstream/bin/dmesg).
# Four lines of our loader are left out. One has the time for which the list of tasks was locked.
# Each of the others is left out only beside a certain line that in-tree livepatch logs too. All
# other lines are shown.

. "$(dirname "$0")/../lib/env.sh"
dmesg=$top/selftests/upstream/bin/dmesg
ours="livepatch: function 'f' is redirected by somebody+0x0/0x10"
off="livepatch: ftrace is switched off, see sysctl kernel.ftrace_enabled"
complete="livepatch: 'p': patching complete"
replaced="livepatch: 'o': replaced by 'p'"
recorded="livepatch: recorded 80 tasks, with the task list locked for 900 us"
failed="livepatch: failed to register ftrace handler for function"
log=$(out_dir)/test-upstream-log
rc=0

# shown NAME LINE... [-- LINE...]: make a log of the lines in front of "--". The suite must see the
# lines behind "--", and no others. Without "--", it must see all lines of the log.
shown() {
	local name=$1 logged=() expected=()
	shift

	while (($#)) && [[ $1 != -- ]]; do
		logged+=("$1")
		shift
	done
	expected=("${logged[@]}")
	(($# == 0)) || expected=("${@:2}")
	printf '<4>[    1.000000] %s\n' "${logged[@]/#livepatch: /rust_livepatch: }" >"$log"
	if diff <(printf '%s\n' "${expected[@]}") <("$dmesg" --notime -F "$log"); then
		echo "ok - upstream-log $name"
	else
		echo "not ok - upstream-log $name"
		rc=1
	fi
}

mkdir -p "$(dirname "$log")"
shown "nothing but the prefix of a line is changed" \
	"livepatch: enabling patch 'p'" "test_klp: rust" "% rmmod p" "livepatch: of ours alone"
shown "the owner of a function that failed is left out" \
	"$ours" "$failed 'f' (-16)" -- "$failed 'f' (-16)"
shown "ftrace is off: left out beside the failure" "$off" "$failed 'f' (-16)" -- "$failed 'f' (-16)"
shown "the owner of another function is shown" "$ours" "$failed 'g' (-16)"
shown "the owner is shown if another line is in between" "$ours" "livepatch: x" "$failed 'f' (-16)"
shown "the owner is shown if nothing failed" "$ours" "livepatch: enabling patch 'p'"
shown "the owner is shown if it is the last line" "$ours"
shown "one of two lines with the owner is shown" \
	"$ours" "$ours" "$failed 'f' (-16)" -- "$ours" "$failed 'f' (-16)"
shown "ftrace is off: shown if nothing failed" "$off" "livepatch: enabling patch 'p'"
shown "replaced patches are left out behind a complete transition" \
	"$complete" "$replaced" "livepatch: 'n': replaced by 'p'" -- "$complete"
shown "the time for which tasks were recorded is left out" "$recorded" "$complete" -- "$complete"
shown "the time is shown with other text behind it" "$recorded!" "$complete"
shown "a patch that another one replaced is shown" "$complete" "livepatch: 'o': replaced by 'pp'"
shown "a patch that was replaced later is shown" "$complete" "% rmmod o" "$replaced"
shown "a replaced patch is shown behind an unpatching" \
	"livepatch: 'p': unpatching complete" "$replaced"
exit $rc
