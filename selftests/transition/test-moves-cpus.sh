#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Idle tasks are switched on every CPU, even if the CPU goes offline and online during the
# transition. Tasks that spin in user mode are switched, whatever their priority. Sweeps interrupt
# only the CPUs that have a task or an idle task that is not switched.
# guest: quiet

set -e
. "$(dirname "$0")/moves.sh"
load_moves
last=$((cpus - 1))

# Block the transition with a straggler, so that the test can check its state.
hold() {
	start_process inside unint straggler
	load_module moves_patch1
	expect_blocker moves_patch1 straggler inside moves_inside
}

let_go() {
	release
	wait $process_pid
}

# idle_calls VERSION: on each CPU, a timer must call this version. Timers mostly interrupt the
# idle task, and stay on the CPU on which they were started.
idle_calls() {
	local cpu old new now

	for ((cpu = 0; cpu < cpus; cpu++)); do
		taskset -c $cpu bash -c "echo 1 >$MOVES/ticks"
		read -r -a old <$MOVES/counts
		sleep 0.3
		echo 0 >$MOVES/ticks
		read -r -a new <$MOVES/counts
		now=$((new[0] - old[0]))
		((now > 0)) || fail "no timer has expired on CPU $cpu"
		# A few timers may have interrupted other tasks. These are switched, too.
		((new[2 + $1] - old[2 + $1] == now)) ||
			fail "CPU $cpu: of $now calls $((new[2 + $1] - old[2 + $1])) were of version $1"
	done
}

# count_interrupts: set "interrupts" to the number of times that sweeps interrupt each CPU in the
# next three seconds. In a transition that is older than 1.5 seconds, there is a sweep each second.
instance=/sys/kernel/tracing/instances/moves_cpus
# The loader's function that the CPUs call is in Rust. A built-in loader has the only one.
called="func=_R.*$(loader_mark)"
count_interrupts() {
	local cpu

	mkdir $instance
	echo 1 >$instance/events/csd/csd_function_entry/enable
	sleep 3
	echo 0 >$instance/events/csd/csd_function_entry/enable
	for ((cpu = 0; cpu < cpus; cpu++)); do
		interrupts[cpu]=$(grep -c "$called" \
			$instance/per_cpu/cpu$cpu/trace) || true
	done
	rmdir $instance
	note "$1: interrupts on each CPU: ${interrupts[*]}"
}

# expect_interrupts WHAT CPU...: sweeps must interrupt these CPUs and no other.
expect_interrupts() {
	local what=$1 cpu wanted
	shift

	if [[ ! -e /sys/kernel/tracing/events/csd/csd_function_entry ]]; then
		untested "which CPUs are interrupted: the kernel has no event csd_function_entry"
		return
	fi
	for _ in 1 2 3; do
		count_interrupts "$what"
		# A sweep that runs on the CPU of the task does not interrupt this CPU, because the
		# task is off the CPU then. So count again if a CPU was not interrupted.
		for cpu; do
			((interrupts[cpu] > 0)) || continue 2
		done
		break
	done
	for ((cpu = 0; cpu < cpus; cpu++)); do
		wanted=0
		[[ " $* " != *" $cpu "* ]] || wanted=1
		(((interrupts[cpu] > 0) == wanted)) ||
			fail "$what: CPU $cpu was interrupted ${interrupts[cpu]} times"
	done
}

unbound_cpus=/sys/devices/virtual/workqueue/cpumask
if ((last > 0)); then
	waiting=$(cat $MOVES/waiting)
	taskset -c $last moves put $MOVES/inside spin spinner &
	process_pid=$!
	wait_until "(( \$(cat $MOVES/waiting) > $waiting ))" || fail "the spinner does not spin"
	load_module moves_patch1
	expect_one_blocker "a task spins"
	grep -q ' spinner ' "$P1/blockers" || fail "the spinner is not the blocker"
	# Make sweeps run on another CPU than the spinner.
	if [[ -e $unbound_cpus ]]; then
		mask=$(cat $unbound_cpus)
		echo 1 >$unbound_cpus
	fi
	sleep 1.5
	expect_interrupts "a task spins on CPU $last" $last
	[[ ! -v mask ]] || echo "$mask" >$unbound_cpus
	let_go
	wait_settled moves_patch1
	unload_patch moves_patch1
else
	untested "a task that spins on another CPU than the sweeps: there is one CPU"
fi

hold
expect_one_blocker "idle tasks"
sleep 1.5
expect_interrupts "a task sleeps"
read -r switched total <"$P1/progress"
((total > cpus)) || fail "progress is $switched of $total"
idle_calls 1
note "idle tasks are switched"

if ((last > 0)) && [[ -e /sys/devices/system/cpu/cpu$last/online ]]; then
	set_online $last 0
	sleep 0.2
	expect_one_blocker "CPU $last went offline"
	set_online $last 1
	sleep 0.2
	expect_one_blocker "CPU $last is online again"
	idle_calls 1
	let_go
	wait_settled moves_patch1
	expect_version 1

	# The same with a CPU that is offline when the transition begins.
	set_online $last 0
	start_process inside unint straggler
	echo 0 >"$P1/enabled"
	expect_blocker moves_patch1 straggler inside new_inside
	expect_one_blocker "CPU $last is offline"
	set_online $last 1
	sleep 0.2
	expect_one_blocker "CPU $last went online"
	idle_calls 0
	set_online $last 0
	# Reversed while the CPU is offline.
	start_process inside unint straggler
	echo 1 >"$P1/enabled"
	sleep 0.2
	expect_one_blocker "CPU $last is offline at the reversal"
	set_online $last 1
	sleep 0.2
	expect_one_blocker "CPU $last went online after the reversal"
	idle_calls 1
	let_go
	wait_settled moves_patch1
	[[ $(cat "$P1/enabled") == 1 ]] || fail "not enabled after the reversal"
	unload_patch moves_patch1
	note "CPU $last goes offline and online during transitions"

	# Transitions and hotplug at the same time, as fast as possible.
	plugged=$(mktemp)
	(while :; do set_online $last 0 && set_online $last 1 &&
		echo >>"$plugged"; done) 2>/dev/null &
	plugger=$!
	for ((i = 0; i < 5; i++)); do
		patch_and_unpatch
	done
	kill $plugger
	wait $plugger 2>/dev/null || true
	set_online $last 1 || true
	[[ -s $plugged ]] || fail "CPU $last never went offline and online"
	note "patched and unpatched 5 times while CPU $last went offline and online $(wc -l <"$plugged") times"
	rm "$plugged"
else
	let_go
	wait_settled moves_patch1
	unload_patch moves_patch1
	untested "transitions with CPU hotplug: no CPU can go offline"
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
	# On PREEMPT_RT, RCU's threads have priority 1. The spinner would stall RCU, and each task
	# that waits for a grace period.
	untested "a spinner with SCHED_FIFO: it starves RCU on PREEMPT_RT"
else
	# A spinner that is alone on its CPU leaves it once a second at most. In between, only
	# an interrupt can switch the spinner.
	kill "${spinners[@]}"
	moves spin $last 50 &
	spinners=($!)
	sleep 0.2
	for ((i = 0; i < 5; i++)); do
		load_module moves_patch1
		wait_settled moves_patch1
		expect_version 1
		took=$(cat "$P1/transition_us")
		((took < 300000 * ${RLP_SLOW:-1})) ||
			fail "switched only after $took us, when it left its CPU"
		note "a spinner with SCHED_FIFO on CPU $last: patched in $took us"
		unload_patch moves_patch1
	done
fi
kill "${spinners[@]}"
expect_no_mixed
