#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Idle tasks change over on every CPU, also on one that goes and comes back
# meanwhile; user-mode spinners do, whatever their priority.

set -e
. "$(dirname "$0")/moves.sh"
load_moves
last=$((cpus - 1))

# A straggler, so that there is time to look around.
hold() {
	start_process inside unint straggler
	load_module moves_patch1
	expect_blocker moves_patch1 straggler inside moves_inside
}

let_go() {
	release
	wait $process_pid
}

# Timers are interrupts of idle tasks, mostly: on every CPU, which they do not leave, all
# of these must call version $1.
idle_calls() {
	local cpu old new now

	for ((cpu = 0; cpu < cpus; cpu++)); do
		taskset -c $cpu bash -c "echo 1 >$MOVES/ticks"
		read -r -a old <$MOVES/counts
		sleep 0.3
		echo 0 >$MOVES/ticks
		read -r -a new <$MOVES/counts
		now=$((new[0] - old[0]))
		((now > 0)) || fail "no timer has ticked on CPU $cpu"
		# A few may have interrupted others.
		((new[2 + $1] - old[2 + $1] == now)) ||
			fail "CPU $cpu: of $now calls $((new[2 + $1] - old[2 + $1])) were of version $1"
	done
}

hold
expect_one_blocker "idle tasks"
read -r switched total <"$P1/progress"
((total > cpus)) || fail "progress is $switched of $total"
idle_calls 1
note "idle tasks change over"

if ((last > 0)) && [[ -e /sys/devices/system/cpu/cpu$last/online ]]; then
	set_online $last 0
	sleep 0.2
	expect_one_blocker "CPU $last went"
	set_online $last 1
	sleep 0.2
	expect_one_blocker "CPU $last came back"
	idle_calls 1
	let_go
	wait_settled moves_patch1
	expect_version 1

	# The same with a CPU that is away when it all begins.
	set_online $last 0
	start_process inside unint straggler
	echo 0 >"$P1/enabled"
	expect_blocker moves_patch1 straggler inside new_inside
	expect_one_blocker "CPU $last is away"
	set_online $last 1
	sleep 0.2
	expect_one_blocker "CPU $last came"
	idle_calls 0
	set_online $last 0
	# Turned round while it is away.
	start_process inside unint straggler
	echo 1 >"$P1/enabled"
	sleep 0.2
	expect_one_blocker "CPU $last is away at the reversal"
	set_online $last 1
	sleep 0.2
	expect_one_blocker "CPU $last came after the reversal"
	idle_calls 1
	let_go
	wait_settled moves_patch1
	[[ $(cat "$P1/enabled") == 1 ]] || fail "not enabled after the reversal"
	unload_patch moves_patch1
	note "CPU $last goes and comes during transitions"

	# Both at once, as fast as they can.
	plugged=$(mktemp)
	(while :; do set_online $last 0 && set_online $last 1 && echo >>"$plugged"; done) 2>/dev/null &
	plugger=$!
	for ((i = 0; i < 5; i++)); do
		patch_and_unpatch
	done
	kill $plugger
	wait $plugger 2>/dev/null || true
	set_online $last 1 || true
	[[ -s $plugged ]] || fail "CPU $last never went and came back"
	note "5 times on and off while CPU $last is switched on and off $(wc -l <"$plugged") times"
	rm "$plugged"
else
	let_go
	wait_settled moves_patch1
	unload_patch moves_patch1
	untested "transitions while a CPU comes and goes: none can be taken away"
fi

spinners=()
for ((cpu = 0; cpu < cpus; cpu++)); do
	moves spin $cpu &
	spinners+=($!)
	moves spin $cpu &
	spinners+=($!)
done
load_module moves_patch1
wait_settled moves_patch1
note "two spinners on each CPU: patched in $(cat "$P1/transition_us") us"
unload_patch moves_patch1
if [[ $(uname -v) == *PREEMPT_RT* ]]; then
	# RCU's own threads have priority 1 there: it stalls, and whoever waits for it.
	untested "a spinner with SCHED_FIFO: it starves RCU on PREEMPT_RT"
else
	# Alone, it leaves its CPU once in a second at most, and nothing but an interrupt finds
	# that it can be moved.
	kill "${spinners[@]}"
	moves spin $last 50 &
	spinners=($!)
	sleep 0.2
	for ((i = 0; i < 5; i++)); do
		load_module moves_patch1
		wait_settled moves_patch1
		expect_version 1
		took=$(cat "$P1/transition_us")
		((took < 300000 * ${RLP_SLOW:-1})) || fail "moved in $took us: it has left its CPU by itself"
		note "one with SCHED_FIFO on CPU $last: patched in $took us"
		unload_patch moves_patch1
	done
fi
kill "${spinners[@]}"
expect_no_mixed
