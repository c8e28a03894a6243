# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Functions for the tests of the transition, on top of lib/common.sh: they control the target
# module, its patches (moves*.c) and the processes of progs/moves.c. A straggler is a task that a
# test keeps in a patched function, so that the transition does not complete.
# shellcheck disable=SC2034 # used by the tests

# shellcheck disable=SC1091
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"

MOVES=/proc/moves
P1=$RLP/moves_patch1
cpus=$(getconf _NPROCESSORS_CONF)

# Release the tasks that wait in the target: cleanup() could not unload the modules otherwise.
trap 'moves_end $?' EXIT

moves_end() {
	local status=$1 job cpu

	set +e
	echo 0 >$MOVES/ticks
	for job in $(jobs -p); do
		kill -TERM "$job"
		kill -CONT "$job"
	done
	for cpu in /sys/devices/system/cpu/cpu*/online; do
		[[ $(cat "$cpu") == 1 ]] || echo 1 >"$cpu"
	done
	wait_until "release; [[ \$(cat $MOVES/waiting) == 0 ]]" 20
	((status == 0)) || dmesg | tail -n 30 | sed 's/^/#   /'
	(exit "$status")
	cleanup
} 2>/dev/null

load_moves() {
	load_loader
	load_module moves_target
}

release() {
	echo 1 >$MOVES/release
}

# start_process FILE TEXT [NAME]: start a process with this name, which writes the text to this
# file of the target. Return when the process waits or spins in the target.
start_process() {
	local before

	before=$(cat $MOVES/waiting)
	moves put "$MOVES/$1" "$2" "${3:-$1}" &
	process_pid=$!
	wait_until "(( \$(cat $MOVES/waiting) > $before ))" || fail "$1 $2 does not wait"
}

# start_kthread NAME WHERE HOW: the same with a kthread.
start_kthread() {
	local before

	before=$(cat $MOVES/waiting)
	echo "$*" >$MOVES/kthread
	wait_until "(( \$(cat $MOVES/waiting) > $before ))" || fail "kthread $* does not wait"
}

# start_worker COMMAND...: run the command in the background until the test ends. expect_workers
# checks that each worker still runs: if a worker had ended, the calls of the other workers would
# hide that.
workers=()
start_worker() {
	"$@" &
	workers+=("$!:$*")
}

# Use bash's own list of jobs: PIDs are soon reused while other processes start and exit.
expect_workers() {
	local worker running

	running=$(jobs -rp)
	for worker in "${workers[@]}"; do
		grep -qx "${worker%%:*}" <<<"$running" || fail "'${worker#*:}' has ended"
	done
}

# stop_workers: check that all workers still run, and end them.
stop_workers() {
	local worker pids=()

	expect_workers
	for worker in "${workers[@]}"; do
		pids+=("${worker%%:*}")
	done
	workers=()
	kill -TERM "${pids[@]}"
	wait "${pids[@]}" || true
}

# expect_version VERSION: a call of the pair must now reach this version of the caller and of
# the callee.
expect_version() {
	[[ $(cat $MOVES/pair) == "$1 $1" ]] || fail "the pair is '$(cat $MOVES/pair)', not '$1 $1'"
}

in_transition() { # PATCH
	[[ $(cat "$RLP/$1/transition" 2>/dev/null) == 1 ]]
}

expect_transition() { # PATCH
	in_transition "$1" || fail "$1 is not in transition"
}

# unload_patch NAME: disable the patch, wait until its directory is gone, and unload its module.
unload_patch() {
	echo 0 >"$RLP/$1/enabled" || fail "cannot disable $1"
	wait_gone_and_unload "$1"
}

# Load and unload moves_patch1, and check the version of a call after each.
patch_and_unpatch() {
	load_module moves_patch1
	wait_settled moves_patch1
	expect_version 1
	unload_patch moves_patch1
	expect_version 0
}

wait_gone_and_unload() { # PATCH [SECONDS]
	wait_until "[[ ! -d $RLP/$1 ]]" "${2:-30}" || {
		show_patch "$1"
		fail "$1 keeps its directory"
	}
	unload_module "$1"
}

expect_blocker() { # PATCH NAME REASON FUNCTION
	wait_until "grep -qE '^[0-9]+ $2 $3 $4\$' $RLP/$1/blockers" || {
		show_patch "$1"
		fail "'$2 $3 $4' is not among the blockers of $1"
	}
}

# expect_one_blocker WHAT: the straggler must be the only blocker of moves_patch1.
expect_one_blocker() {
	wait_until "[[ \$(grep -c '^[0-9]' $P1/blockers) == 1 ]]" || {
		show_patch moves_patch1
		fail "$1: there are blockers besides the straggler"
	}
}

# Print how many calls of the pair were mixed: a caller of one version, a callee of another.
mixed() {
	local all mixed rest

	# shellcheck disable=SC2034
	read -r all mixed rest <$MOVES/counts
	echo "$mixed"
}

calls() {
	local all rest

	# shellcheck disable=SC2034
	read -r all rest <$MOVES/counts
	echo "$all"
}

expect_no_mixed() {
	[[ $(mixed) != 0 ]] || return 0
	sed 's/^/# /' $MOVES/mixed
	grep -E '(new|moves)_(step|session)|rlp_ftrace_handler|ftrace_(regs_)?caller' \
		/proc/kallsyms | sed 's/^/# /'
	sed 's/^/# /' "$RLP"/moves_patch*/*/*/mode
	fail "$(mixed) mixed pairs of $(calls)"
}

set_online() { # CPU 0|1
	echo "$2" >"/sys/devices/system/cpu/cpu$1/online"
}

note() {
	echo "# $*"
}
