# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The patches of moves.sh change at random, while whoever calls the pair goes on. RANDOM is
# seeded by the caller.
# shellcheck disable=SC2034 # variables for the tests

# shellcheck disable=SC1091
. "$(dirname "${BASH_SOURCE[0]}")/moves.sh"

transitions=0 reversals=0 jumps=0

# Without a process of its own: these are called all the time.
read_value() { # FILE
	REPLY=
	{ read -r REPLY <"$1"; } 2>/dev/null || REPLY=gone
}

# enable_write PATCH 0|1: whether that started a transition. A patch that has
# just gone, or is so already, is no failure.
write_enabled() {
	{ echo "$2" >"$RLP/$1/enabled"; } 2>/dev/null || return
	transitions=$((transitions + 1))
}

# Turn PATCH round a few times, more or less at once.
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

# Until PATCH is settled: 0 if it is enabled, 1 if it is gone.
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

# Now and then PATCH is left alone until its functions jump.
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

# Some of: one patch, a second on top of it or in its place.
change_at_random() {
	local second=0

	if load_at_random moves_patch1; then
		wait_for_jump_at_random moves_patch1
		((RANDOM % 2)) || {
			if load_at_random moves_patch2 replace=$((RANDOM % 2)); then second=1; fi
		}
		if [[ -d $P1 ]] && ((second == 0 || RANDOM % 2)); then unload_at_random moves_patch1; fi
		((second == 0)) || unload_at_random moves_patch2
		! is_loaded moves_patch1 || unload_at_random moves_patch1
	fi
	expect_no_mixed
}
