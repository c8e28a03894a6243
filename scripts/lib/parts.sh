# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Run the parts of a check, which print TAP, one after another or at the same time. Sourced after
# env.sh. The output of all parts is collected in the file $tap.

tap='' # set by the script that sources this file
. "${BASH_SOURCE[0]%/*}/../../selftests/lib/tests.sh"

# tap_part NAME COMMAND...: run a command that prints TAP, and append its output to $tap too. The
# command also counts as failed if it runs no test, or returns an error without a failed test.
tap_part() {
	local name=$1 rc=0
	shift

	"$@" | tee "$tap.part" || rc=$?
	if ! grep -qE '^(not )?ok ' "$tap.part"; then
		echo "not ok $name: no test ran" | tee -a "$tap.part"
	elif ((rc)) && ! grep -q '^not ok ' "$tap.part"; then
		echo "not ok $name: it ended with status $rc" | tee -a "$tap.part"
	fi
	cat "$tap.part" >>"$tap"
	rm "$tap.part"
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

# finish_part NAME: wait for a part that start_part() started, and treat it as tap_part() does.
finish_part() {
	local rc=0

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

# selftests -l|-L [debug]: print the names of the selftests that wait most of their time (-l), or of
# the others (-L), in the order of selftests/TESTS. A test that waits has a line "# guest: waiting".
# With debug, the tests for debug kernels are included.
selftests() {
	test_files "${2:-}" | (cd "$selftests_dir" && xargs grep "$1" -x '# guest: waiting') |
		sed 's|.*/test-||; s|\.sh$||'
}

# in_order NAME...: print the names of these selftests in the order of selftests/TESTS.
in_order() {
	test_files debug | sed 's|.*/test-||; s|\.sh$||' | grep -xF "$(printf '%s\n' "$@")"
}
