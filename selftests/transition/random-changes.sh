# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Load, reverse and unload the patches of moves.sh at random, while other tasks call the pair.
# The caller seeds RANDOM.
# shellcheck disable=SC2034 # used by the tests

# shellcheck disable=SC1091
. "$(dirname "${BASH_SOURCE[0]}")/moves.sh"

transitions=0 reversals=0 jumps=0

# read_value FILE: set REPLY to the first line of the file, or to "gone". This starts no process,
# since it is called all the time.
read_value() {
	REPLY=
	{ read -r REPLY <"$1"; } 2>/dev/null || REPLY=gone
}

# write_enabled PATCH 0|1: succeed if the write starts or reverses a transition. The write fails if
# the patch is gone by now, or if "enabled" has this value already. That is no failure of the test.
write_enabled() {
	{ echo "$2" >"$RLP/$1/enabled"; } 2>/dev/null || return
	transitions=$((transitions + 1))
}

# reverse_at_random PATCH: reverse its transition a few times, with short pauses or none.
reverse_at_random() {
	local i n=$((RANDOM % 8)) to

	for ((i = 0; i < n; i++)); do
		read_value "$RLP/$1/transition"
		[[ $REPLY == 1 ]] || return 0
		read_value "$RLP/$1/enabled"
		to=$((REPLY == 1 ? 0 : 1))
		! write_enabled "$1" $to || reversals=$((reversals + 1))
		((RANDOM % 3)) || sleep "0.0$((RANDOM % 5))"
	done
}

# wait_outcome PATCH: wait until its transition is complete. Return 0 if the patch is enabled, 1
# if it is gone.
wait_outcome() {
	local deadline=$((SECONDS + 60 * ${RLP_SLOW:-1}))

	while :; do
		[[ -d $RLP/$1 ]] || return 1
		read_value "$RLP/$1/transition"
		if [[ $REPLY == 0 ]]; then
			read_value "$RLP/$1/enabled"
			[[ $REPLY != 1 ]] || return 0
		fi
		((SECONDS < deadline)) || {
			show_patch "$1"
			fail "the transition of $1 does not complete"
		}
		sleep 0.01
	done
}

# Load a patch. torture.sh replaces this function.
try_load() {
	load_module "$@"
}

# load_at_random PATCH [PARAMETER=VALUE...]: load the patch, and reverse its transition a few
# times. Return 0 if the patch is enabled in the end, and 1 if it is gone.
load_at_random() {
	try_load "$@" || fail "cannot load $1"
	transitions=$((transitions + 1))
	reverse_at_random "$1"
	if wait_outcome "$1"; then return 0; fi
	unload_module "$1"
	return 1
}

unload_at_random() {
	until ! wait_outcome "$1"; do
		write_enabled "$1" 0 && reverse_at_random "$1"
	done
	unload_module "$1"
}

# wait_for_jump_at_random PATCH: now and then, wait until the functions of the patch jump.
wait_for_jump_at_random() {
	local mode=$RLP/$1/moves_target/moves_session,1/mode i

	((RANDOM % 6 == 0)) || return 0
	for ((i = 0; i < 40; i++)); do
		read_value "$mode"
		[[ $REPLY == "handler settling" ]] || break
		sleep 0.05
	done
	[[ $REPLY != jump ]] || jumps=$((jumps + 1))
}

# Load one patch, and at random a second one, which may replace the first. Then unload both.
change_at_random() {
	local second=0

	if load_at_random moves_patch1; then
		wait_for_jump_at_random moves_patch1
		((RANDOM % 2)) || {
			if load_at_random moves_patch2 replace=$((RANDOM % 2)); then second=1; fi
		}
		if [[ -d $P1 ]] && ((second == 0 || RANDOM % 2)); then
			unload_at_random moves_patch1
		fi
		((second == 0)) || unload_at_random moves_patch2
		! is_loaded moves_patch1 || unload_at_random moves_patch1
	fi
	expect_no_mixed
}
