# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the tests of the transition share, on top of lib.sh: the target module and
# its patches (modules/moves*), the processes of progs/moves.c.
# shellcheck disable=SC2034 # variables for the tests

# shellcheck disable=SC1091
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

MOVES=/proc/moves
P1=$RLP/moves_patch1
cpus=$(getconf _NPROCESSORS_CONF)

# Whoever waits in the target is let go before lib.sh removes the modules.
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

# A process, named so, that is where it was told to be.
put() { # FILE TEXT NAME
	local before

	before=$(cat $MOVES/waiting)
	moves put "$MOVES/$1" "$2" "${3:-$1}" &
	put_pid=$!
	wait_until "(( \$(cat $MOVES/waiting) > $before ))" || fail "$1 $2 does not wait"
}

# The same for a kthread.
kthread() { # NAME WHERE HOW
	local before

	before=$(cat $MOVES/waiting)
	echo "$*" >$MOVES/kthread
	wait_until "(( \$(cat $MOVES/waiting) > $before ))" || fail "kthread $* does not wait"
}

# work COMMAND...: in the background, for as long as the test lasts; expect_workers: each
# is still there. The calls of others would make up for those that it owes.
workers=()
work() {
	"$@" &
	workers+=("$!:$*")
}

# By bash's own list: where processes come and go, a PID is soon another's.
expect_workers() {
	local worker running

	running=$(jobs -rp)
	for worker in "${workers[@]}"; do
		grep -qx "${worker%%:*}" <<<"$running" || fail "'${worker#*:}' has ended"
	done
}

# dismiss: they are all there still, and end now.
dismiss() {
	local worker pids=()

	expect_workers
	for worker in "${workers[@]}"; do
		pids+=("${worker%%:*}")
	done
	workers=()
	kill -TERM "${pids[@]}"
	wait "${pids[@]}" || true
}

# What a call made now gets: the versions of caller and callee.
expect_version() {
	[[ $(cat $MOVES/pair) == "$1 $1" ]] || fail "the pair is '$(cat $MOVES/pair)', not '$1 $1'"
}

in_transition() { # PATCH
	[[ $(cat "$RLP/$1/transition" 2>/dev/null) == 1 ]]
}

expect_transition() { # PATCH
	in_transition "$1" || fail "$1 is not in transition"
}

# patch_off NAME: disable, wait, unload.
patch_off() {
	echo 0 >"$RLP/$1/enabled" || fail "cannot disable $1"
	wait_gone "$1"
}

# moves_patch1 on and off, as a call made now sees it.
there_and_back() {
	load_module moves_patch1
	wait_settled moves_patch1
	expect_version 1
	patch_off moves_patch1
	expect_version 0
}

wait_gone() { # PATCH [SECONDS]
	wait_until "[[ ! -d $RLP/$1 ]]" "${2:-30}" || {
		show_patch "$1"
		fail "$1 does not go"
	}
	unload_module "$1"
}


expect_blocker() { # PATCH NAME REASON FUNCTION
	wait_until "grep -qE '^[0-9]+ $2 $3 $4\$' $RLP/$1/blockers" || {
		show_patch "$1"
		fail "'$2 $3 $4' is not among the blockers of $1"
	}
}

# How many pairs were mixed.
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
	grep -E '(new|moves)_(step|session)|rlp_ftrace_handler|ftrace_(regs_)?caller' /proc/kallsyms | sed 's/^/# /'
	sed 's/^/# /' "$RLP"/moves_patch*/*/*/mode
	fail "$(mixed) mixed pairs of $(calls)"
}

online() { # CPU 0|1
	echo "$2" >"/sys/devices/system/cpu/cpu$1/online"
}

ok() {
	echo "# $*"
}

# The rest is for the consistency torture: patches change at random, while
# whoever calls the pair goes on. RANDOM is seeded by the caller.

transitions=0 reversals=0 jumps=0

# Without a process of its own: these are called all the time.
value() { # FILE
	REPLY=
	{ read -r REPLY <"$1"; } 2>/dev/null || REPLY=gone
}

# enable_write PATCH 0|1: whether that started a transition. A patch that has
# just gone, or is so already, is no failure.
enable_write() {
	{ echo "$2" >"$RLP/$1/enabled"; } 2>/dev/null || return
	transitions=$((transitions + 1))
}

# Turn PATCH round a few times, more or less at once.
turn_round() {
	local i n=$((RANDOM % 8)) to

	for ((i = 0; i < n; i++)); do
		value "$RLP/$1/transition"
		[[ $REPLY == 1 ]] || return 0
		value "$RLP/$1/enabled"
		to=$((REPLY == 1 ? 0 : 1))
		! enable_write "$1" $to || reversals=$((reversals + 1))
		((RANDOM % 3)) || sleep "0.0$((RANDOM % 5))"
	done
}

# Until PATCH is settled: 0 if it is enabled, 1 if it is gone.
settle() {
	local deadline=$((SECONDS + 60 * ${RLP_SLOW:-1}))

	while :; do
		[[ -d $RLP/$1 ]] || return 1
		value "$RLP/$1/transition"
		if [[ $REPLY == 0 ]]; then
			value "$RLP/$1/enabled"
			[[ $REPLY != 1 ]] || return 0
		fi
		((SECONDS < deadline)) || {
			show_patch "$1"
			fail "$1 does not settle"
		}
		sleep 0.01
	done
}

# How a patch is loaded; torture.sh has a way of its own.
try_load() {
	load_module "$@"
}

# Load PATCH with PARAMETERS, and turn it round a few times.
# 0: it is enabled. 1: it is gone.
load_at_random() {
	try_load "$@" || fail "cannot load $1"
	transitions=$((transitions + 1))
	turn_round "$1"
	if settle "$1"; then return 0; fi
	unload_module "$1"
	return 1
}

unload_at_random() {
	until ! settle "$1"; do
		enable_write "$1" 0 && turn_round "$1"
	done
	unload_module "$1"
}

# Now and then PATCH is left alone until its functions jump.
rest_at_random() {
	local mode=$RLP/$1/moves_target/moves_session,1/mode i

	((RANDOM % 6 == 0)) || return 0
	for ((i = 0; i < 40; i++)); do
		value "$mode"
		[[ $REPLY == "handler settling" ]] || break
		sleep 0.05
	done
	[[ $REPLY != jump ]] || jumps=$((jumps + 1))
}

# Some of: one patch, a second on top of it or in its place.
change_at_random() {
	local second=0

	if load_at_random moves_patch1; then
		rest_at_random moves_patch1
		((RANDOM % 2)) || {
			if load_at_random moves_patch2 replace=$((RANDOM % 2)); then second=1; fi
		}
		if [[ -d $P1 ]] && ((second == 0 || RANDOM % 2)); then unload_at_random moves_patch1; fi
		((second == 0)) || unload_at_random moves_patch2
		! is_loaded moves_patch1 || unload_at_random moves_patch1
	fi
	expect_no_mixed
}
