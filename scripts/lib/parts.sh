# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Run the parts of a check, which print TAP, one after another or at the same time. Sourced after
# env.sh. The output of all parts is collected in the file $tap.

tap='' # set by the script that sources this file
. "${BASH_SOURCE[0]%/*}/../../selftests/lib/tests.sh"

# checked NAME COMMAND...: run a command that prints TAP. The command also counts as failed if it
# runs no test, or returns an error without a failed test.
checked() {
	local name=$1 rc=0 output
	shift

	output=$(mktemp "$tap.XXXXXX")
	"$@" | tee "$output" || rc=$?
	if ! grep -qE '^(not )?ok ' "$output"; then
		echo "not ok $name: no test ran"
	elif ((rc)) && ! grep -q '^not ok ' "$output"; then
		echo "not ok $name: it ended with status $rc"
	fi
	rm "$output"
}

# tap_part NAME COMMAND...: the same, and append the output to $tap.
tap_part() {
	checked "$@" | tee -a "$tap"
}

# lane NAME...: run these parts one after another. The function part_NAME runs the part NAME.
lane() {
	local name

	for name; do
		checked "$name" "part_$name"
	done
}

# reached POINT, await POINT: a part of a lane waits until the main script has reached a point.
reached() {
	touch "$tap.reached-$1"
}

await() {
	until [[ -e $tap.reached-$1 ]]; do
		sleep 1
	done
}

# start_part NAME COMMAND...: run a command that prints TAP in the background. It has a process
# group of its own, so that stop_parts() can end all of its processes.
declare -A part_pids
start_part() {
	local name=$1
	shift

	trap stop_parts EXIT
	set -m
	"$@" >"$tap.$name" 2>&1 </dev/null &
	part_pids[$name]=$!
	set +m
}

# finish_part NAME: wait for a part that start_part() started, and treat it as tap_part() does. A
# part that was not started is passed over.
finish_part() {
	local rc=0

	[[ ${part_pids[$1]:-} ]] || return 0
	wait "${part_pids[$1]}" || rc=$?
	unset "part_pids[$1]"
	tap_part "$1" replay "$rc" "$tap.$1"
	rm "$tap.$1"
}

# replay STATUS OUTPUT: behave as a command with this status and this output.
replay() {
	cat "$2"
	return "$1"
}

stop_parts() {
	local pid

	for pid in "${part_pids[@]}"; do
		kill -- "-$pid" 2>/dev/null || true
	done
}

# selftests GUEST [debug|secureboot]: print the names of the selftests for this guest, in the order
# of selftests/TESTS. A line "# guest: NAME" in a test names its guest:
#
#	waiting		the test waits most of its time
#	quiet		the test measures time, so no other guest runs beside it
#	long		the test takes too long for "make check": "make everything" runs it, or
#			"make check IBT=1"
#	alone		the test needs a guest of its own
#	built		the test loads what test-install.sh and test-livepatch.sh build, or runs rlp
#	busy		a test without such a line
#
# GUEST may be an extended regular expression. With debug, the tests for debug kernels are included,
# and with secureboot those for Secure Boot.
selftests() {
	local file guest

	test_files "${2:-}" | while IFS= read -r file; do
		guest=$(sed -n 's/^# guest: //p' "$selftests_dir/$file")
		[[ ! ${guest:-busy} =~ ^($1)$ ]] || test_name "$file"
	done
}

# in_order NAME...: print the names of these selftests in the order of selftests/TESTS.
in_order() {
	test_files debug secureboot | sed 's|.*/test-||; s|\.sh$||' |
		grep -xF "$(printf '%s\n' "$@")"
}

# ibt_tests GUEST: print the names of the selftests that selftests/ibt/TESTS has for this guest.
ibt_tests() {
	sed -n "s/^$1: *//p" "$selftests_dir/ibt/TESTS"
}

# only_skipped NAME...: print a TAP line, which says whether all tests that were skipped are in the
# list. The kernel lacks something that these tests need. A test that is skipped for another reason
# counts as a failure. Otherwise nobody may notice that it never runs. A function for which
# rlp-build refuses a live patch ("corpus") is no test. The leftovers are unknown when the emulator
# has crashed a guest (scripts/guest/run-tests).
only_skipped() {
	local others

	others=$(sed -nE 's/^ok (- |[0-9]+ )(.*) # SKIP.*/\2/p' "$tap" | grep -v '^corpus ' |
		grep -vxF "$(printf '%s\n' 'leftovers of the earlier tests' "$@")") || true
	if [[ $others ]]; then
		echo "not ok - these tests were skipped although the kernel has what they need:"
		sed 's/^/# /' <<<"$others"
	else
		echo "ok - each test that was skipped needs something that this kernel lacks"
	fi
}
