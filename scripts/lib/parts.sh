# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Parts of a check whose output is TAP: one after the other, or beside each other. To be
# sourced after env.sh; all of what the parts said is then in the file that $tap names.

tap='' # the caller's to set

# tap_part NAME COMMAND...: run what prints TAP, and keep that in the file $tap too. To end
# before the first test is a failure, and so is a status that no failed test explains.
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

# start NAME COMMAND...: in the background, in a process group, which can be ended as a
# whole; and finish NAME: wait for it, and have its TAP.
declare -A started
start() {
	local name=$1
	shift

	trap stop_all EXIT
	set -m
	"$@" >"$tap.$name" 2>&1 </dev/null &
	started[$name]=$!
	set +m
}

finish() {
	local rc=0

	wait "${started[$1]}" || rc=$?
	unset "started[$1]"
	tap_part "$1" ended "$rc" "$tap.$1"
	rm "$tap.$1"
}

ended() { # STATUS OUTPUT
	cat "$2"
	return "$1"
}

stop_all() {
	local pid

	for pid in "${started[@]}"; do
		kill -- "-$pid" 2>/dev/null || true
	done
}

# selftests -l|-L FILE...: the names of those that wait most of their time ("# guest:
# waiting"), or of the others.
selftests() {
	local which=$1
	shift

	grep "$which" -x '# guest: waiting' "$@" | sed 's|.*/test-||; s|\.sh$||' | LC_ALL=C sort
}
