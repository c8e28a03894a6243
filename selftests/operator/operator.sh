# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Functions for the tests of events, deadlines, probation and the program rlp, on top of patches.sh:
# watch events, and keep tasks in a patch.

. "$(dirname "${BASH_SOURCE[0]}")/../lib/patches.sh"

seen=$(mktemp -d)
watchers=()
dozers=()

# watch NAME ARGUMENT...: run watch_patches with these arguments. seen NAME prints its output.
watch() {
	local name=$1
	shift

	watch_patches "$@" >"$seen/$name" &
	watchers+=($!)
	# wake_up() waits for all other processes.
	disown
	wait_until "[[ -s $seen/$name ]]" || fail "watch_patches $* does not start"
	expect "$(head -n 1 "$seen/$name")" ready "watch_patches"
}

seen() {
	tail -n +2 "$seen/$1"
}

# expect_seen NAME PATTERN [SECONDS]: a line that the watcher prints must match.
expect_seen() {
	wait_until "seen $1 | grep -qE -- '$2'" "${3:-10}" || {
		seen "$1" | sed 's/^/#   /'
		fail "$1 has not seen '$2'"
	}
}

# expect_us EVENT STATE PATCH FROM TO: the last such event must be FROM to TO microseconds after the
# start of the transition.
expect_us() {
	local us

	us=$(seen uevents | sed -n "s/^uevent $1 $2 $3 //p" | tail -n 1)
	((us >= $4 && us <= $5)) || fail "$1 of $3 after $us us, and not after $4 to $5 us"
}

# doze_in PATCH [FILE]: start a process that reads $TARGET/FILE and sleeps in the replacement "doze"
# of this patch. It blocks the transition that disables the patch, until stop_dozing stops all such
# processes.
doze_in() {
	cat "$TARGET/${2:-one}" >/dev/null &
	dozers+=($!)
	wait_until "grep -q 'doze.*$1' /proc/$!/stack" || fail "no process sleeps in $1"
}

stop_dozing() {
	kill -KILL "${dozers[@]}"
	wait "${dozers[@]}" || true
	dozers=()
}

watchers_end() {
	local status=$?

	set +e
	((${#dozers[@]} == 0)) || kill -KILL "${dozers[@]}" 2>/dev/null
	((${#watchers[@]} == 0)) || kill "${watchers[@]}" 2>/dev/null
	rm -r "$seen"
	patches_end "$status"
}
trap watchers_end EXIT

# start_with PARAMETER=VALUE...: start the loader with these parameters, and load the target.
start_with() {
	start_loader "$@"
	load_module rlp_target
}
