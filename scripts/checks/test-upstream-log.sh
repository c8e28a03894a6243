#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What the upstream suite is shown of the kernel's log (selftests/upstream/bin/dmesg): three
# lines of our loader are left out, each beside the line of in-tree's that it goes with;
# anything else is shown.

. "$(dirname "$0")/../lib/env.sh"
dmesg=$top/selftests/upstream/bin/dmesg
ours="livepatch: function 'f' is redirected by somebody+0x0/0x10"
off="livepatch: ftrace is switched off, see sysctl kernel.ftrace_enabled"
complete="livepatch: 'p': patching complete"
replaced="livepatch: 'o': replaced by 'p'"
failed="livepatch: failed to register ftrace handler for function"
log=$(out_dir)/test-upstream-log
rc=0

# shown NAME LINE... [-- LINE...]: all these lines, or those behind -- alone.
shown() {
	local name=$1 said=() expected=()
	shift

	while (($#)) && [[ $1 != -- ]]; do
		said+=("$1")
		shift
	done
	expected=("${said[@]}")
	(($# == 0)) || expected=("${@:2}")
	printf '<4>[    1.000000] %s\n' "${said[@]/#livepatch: /rust_livepatch: }" >"$log"
	if diff <(printf '%s\n' "${expected[@]}") <("$dmesg" --notime -F "$log"); then
		echo "ok - upstream-log $name"
	else
		echo "not ok - upstream-log $name"
		rc=1
	fi
}

mkdir -p "$(dirname "$log")"
shown "has another prefix, and is the same otherwise" \
	"livepatch: enabling patch 'p'" "test_klp: rust" "% rmmod p" "livepatch: of ours alone"
shown "does not say who has the function that failed" "$ours" "$failed 'f' (-16)" -- "$failed 'f' (-16)"
shown "does not say that ftrace is off" "$off" "$failed 'f' (-16)" -- "$failed 'f' (-16)"
shown "says who has another one" "$ours" "$failed 'g' (-16)"
shown "says who has it if something comes between" "$ours" "livepatch: x" "$failed 'f' (-16)"
shown "says who has it if nothing failed" "$ours" "livepatch: enabling patch 'p'"
shown "says who has it if nothing comes" "$ours"
shown "says who has it once too often" "$ours" "$ours" "$failed 'f' (-16)" -- "$ours" "$failed 'f' (-16)"
shown "says that ftrace is off if nothing failed" "$off" "livepatch: enabling patch 'p'"
shown "does not say who was replaced" "$complete" "$replaced" "livepatch: 'n': replaced by 'p'" -- "$complete"
shown "says who was replaced by another" "$complete" "livepatch: 'o': replaced by 'pp'"
shown "says who was replaced later" "$complete" "% rmmod o" "$replaced"
shown "says who was replaced by nobody" "livepatch: 'p': unpatching complete" "$replaced"
exit $rc
