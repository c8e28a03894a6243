#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# run.sh [NAME...]: run the named tests on this machine, or all tests in the order of TESTS.
# run.sh --check: compare TESTS with the test files.
#
# A test passes if its exit status is 0 and the kernel logged no complaint since the previous
# test. On arm64 the tests in arm64/LEFT-OUT are skipped. The tests need root, the modules, and the
# kernel's kselftest helpers:
#
#	RLP_MODULES=folder of the .ko files (../modules)
#	RLP_KSELFTEST=linux/tools/testing/selftests/kselftest (../kselftest, see lib/common.sh)
#	RLP_TIMEOUT=seconds a test may take (120); a test that needs more time has a
#		line "# timeout: seconds"
#	RLP_LONG=1: run each test in full, not only a sample of its cases (long() in lib/common.sh)
#	RLP_SLOW=n: this machine is n times slower; all timeouts are n times longer
#	RLP_DEBUG=name: the running kernel is this debug kernel; run the tests in debug/ too
#	RLP_SECUREBOOT=1: Secure Boot has started this machine, and the modules are signed; run the
#		tests in secureboot/ too
#	RLP_GUEST=1: this machine exists only for the tests; complaints that the kernel
#		logged while it booted count, and a test may shut ftrace down
#	RLP_AFTER=name: continue with the test after this one; for a run that was interrupted

cd "$(dirname "$0")" || exit 1
. lib/tests.sh
[[ ${1:-} != --check ]] || { check_list; exit; }
# The folders are where scripts/guest/stage puts them.
base=$(realpath ..)
export RLP_MODULES=${RLP_MODULES:-$base/modules} PATH=$base/usr/local/bin:$PATH

# Lines that must not be in the kernel's log. A test that provokes such lines on purpose
# declares them: "# expect-log: extended regular expression".
complaints='WARNING:|BUG:|BUG |Oops|Kernel panic|general protection fault|unable to handle|invalid opcode|double fault|cut here|Call Trace|panicked at|possible recursive locking|circular locking dependency|irq lock inversion|lock order inversion|inconsistent lock state|invalid wait context|suspicious RCU usage|bad unlock balance|bad contention|held lock freed|lock held when returning|still held|nested lock was not taken|unsafe|rcu.*(stall|detected)|RCU.*stall|rcu_tasks.*detected|blocked for more than|soft lockup|hard LOCKUP|workqueue lockup|scheduling while atomic|sleeping function called|KASAN|KCSAN:|KMSAN|KFENCE|UBSAN|kmemleak: .* suspected|memory leak detector disabled|ODEBUG|refcount_t:|corruption|Bad page|bad pte|nobody cared'

# A test may call this script again (log-check). The inner run leaves some checks to the outer
# run. The inner run clears the kernel's log only if RLP_INNER is "clear-log".
inner=${RLP_INNER:-}
export RLP_INNER=1

marker() {
	echo "rust_livepatch selftest: $*" >/dev/kmsg
}

# Copy the kernel's log to a file. If the machine exists only for the tests, also clear the log:
# otherwise each test would read the lines of all tests before it. (One system call does both.)
taken=$(mktemp)
take_log() {
	if [[ ${RLP_GUEST:-} && ${inner:-clear-log} == clear-log ]]; then
		dmesg --syslog --read-clear >"$taken"
	else
		dmesg >"$taken"
	fi
}

# Print the lines of the copy after a marker, or all lines if the marker is no longer there.
log_since() {
	awk -v mark="rust_livepatch selftest: $1" '
		found { print }
		index($0, mark) { found = 1 }
		!found { kept[++n] = $0 }
		END { if (!found) for (i = 1; i <= n; i++) print kept[i] }' "$taken"
}

# Print the complaints in the kernel's log since the marker "since", and move that marker to
# the end of the log.
new_complaints() { # EXPECTED
	local from=$since

	since="end $$.$number"
	marker "$since"
	take_log
	log_since "$from" | without_foreign_races | grep -E "$complaints" | grep -vE "${1:-^$}"
}

# Remove the reports of KCSAN in which no module takes part: races of the kernel itself are not
# the subject of these tests. A module does not take part if its code was only interrupted by
# the code that races. (Reports of KASAN begin and end with the same line of "=".) Another CPU
# may log a complaint in the middle of a report; that line is kept.
without_foreign_races() {
	awk -v complaints="$complaints" '
		/====================$/ {
			if (race && ours) printf "%s", report
			else if (!race && held) printf "%s", report
			held = !race; race = ours = interrupted = 0
			report = $0 "\n"
			next
		}
		held && / BUG: KCSAN: / { race = 1; held = 0 }
		race && $0 ~ complaints && !/KCSAN|\+0x[0-9a-f]+\//
		race {
			report = report $0 "\n"
			if (/ by (task [0-9]+|interrupt) on cpu /) interrupted = 0
			else if (/ asm_(sysvec_|common_interrupt)/) interrupted = 1
			else if (!interrupted && /\+0x[0-9a-f]+\/0x[0-9a-f]+ \[/) ours = 1
			next
		}
		held { printf "%s", report; held = 0 }
		{ print }
		END { if (held || race) printf "%s", report }'
}

# wait_for PID SECONDS: wait until the process has ended, but not longer than this.
wait_for() {
	local pid=$1 deadline=$((SECONDS + $2))

	while kill -0 "$pid" 2>/dev/null; do
		((SECONDS < deadline)) || return 1
		sleep 0.05
	done
}

option() { # FILE OPTION: print the text after "# option: " in a test
	sed -n "s/^# $2: *//p" "$1" | head -n 1
}

# Print the leaks that kmemleak finds. If kmemleak has stopped, print that instead. kmemleak
# reports an object only some time after the last reference to it is gone.
kmemleak=/sys/kernel/debug/kmemleak
leaks() {
	# The write fails if kmemleak has stopped. It stops for good when it meets an error.
	if echo scan >$kmemleak && sleep 6 && echo scan >$kmemleak; then
		head -n 80 $kmemleak
	else
		echo "kmemleak has stopped"
	fi
}

run_one() {
	local file=$1 name=$2 start=${EPOCHREALTIME/./} limit expected status pid found
	local parts covered
	local mark="begin $name $$.$number" output late=0

	output=$(mktemp)
	limit=$(option "$file" timeout)
	limit=$((${RLP_TIMEOUT:-${limit:-120}} * ${RLP_SLOW:-1}))
	expected=$(option "$file" expect-log)

	marker "$mark"
	# The test gets a session of its own, so that all processes that it leaves can be killed.
	setsid bash "$file" >>"$output" 2>&1 </dev/null &
	pid=$!
	if ! wait_for $pid "$limit"; then
		late=1
		echo "# timeout after $limit s" >>"$output"
		# Show the test's processes, and all processes in uninterruptible sleep: one of
		# them may hold a lock that the test waits for.
		for task in $({ pgrep -s $pid; pgrep -r D; } | sort -nu); do
			echo "# $task $(<"/proc/$task/comm"): $(<"/proc/$task/wchan")"
			sed 's/^/#     /' "/proc/$task/stack"
		done >>"$output" 2>&1
		# Let the test undo its changes (see lib/common.sh), if it still can.
		pkill -TERM -s $pid
		{
			wait_for $pid $((40 * ${RLP_SLOW:-1}))
			pkill -KILL -s $pid
			sleep 1
		} 2>/dev/null
		if pgrep -s $pid >/dev/null; then
			sed 's/^\(# \)\?/# /' "$output"
			echo "not ok $number $name # cannot be killed"
			echo "Bail out! $name cannot be killed"
			exit 1
		fi
	fi
	{ wait $pid; } 2>/dev/null
	status=$?
	pkill -KILL -s $pid

	new_complaints "$expected" >"$output.complaints"
	found=$(<"$output.complaints")
	sed 's/^\(# \)\?/# /' "$output"
	((late == 0)) || status=1
	# An arithmetic error ends a function or a loop in bash, but not the script.
	! grep -q '(error token is' "$output" || status=1
	if ((status == 4)) && ! grep -q '# SKIP .' "$output"; then
		echo "# exit status 4 means a skip, but the test printed no reason"
		status=1
	fi
	if [[ $found ]]; then
		echo "# complaints in the kernel's log:"
		head -n 10 <<<"$found" | sed 's/^/#   /'
		echo "# the end of the kernel's log:"
		log_since "$mark" | tail -n 80 | sed 's/^/#   /'
		status=1
	fi
	took=$(awk -v us=$((${EPOCHREALTIME/./} - start)) 'BEGIN { printf "%.1f s", us / 1e6 }')
	parts=$(sed -n 's/^# not tested: //p' "$output" | tr '\n' ';')
	took+=${parts:+, not tested: ${parts%;}}
	covered=$(sed -n 's/^# \([0-9]* allocations failed in all\)$/\1/p' "$output")
	took+=${covered:+, $covered}
	case $status in
	0) echo "ok $number $name # $took" ;;
	4) echo "ok $number $name # SKIP $(grep -oP '# SKIP \K.*' "$output" | head -n 1)" ;;
	*)
		echo "not ok $number $name # $took"
		failed=$((failed + 1))
		;;
	esac
	rm -f "$output" "$output.complaints"
	results=$((results + 1))
}

files=()
for name; do
	# The name of a test in TESTS, or a path of a script.
	file=$(test_files debug secureboot | grep "/test-$name\.sh\$") || file=$name
	files+=("$file")
done
((${#files[@]})) ||
	mapfile -t files < <(test_files ${RLP_DEBUG:+debug} ${RLP_SECUREBOOT:+secureboot})

# Record the state for debug/test-unchanged.sh. The trace buffer grows to its full size when a
# tracer is set for the first time. Set one now, so that this growth is not reported later.
if [[ ${RLP_DEBUG:-} && ! ${RLP_STATE:-} ]]; then
	echo nop >/sys/kernel/tracing/current_tracer
	RLP_STATE=$(mktemp)
	export RLP_STATE
	debug/kernel-state >"$RLP_STATE" || : >"$RLP_STATE"
fi

number=0 failed=0 results=0 skip_to=${RLP_AFTER:-}
since="begin run.sh $$"
# Checks of the log begin at the marker. If the machine exists only for the tests, make no marker:
# the lines that were logged at boot are then checked, too.
[[ ${RLP_GUEST:-} && ! $inner ]] || marker "$since"
echo "TAP version 13"
echo "1..${#files[@]}"
for file in "${files[@]}"; do
	number=$((number + 1))
	name=$(test_name "$file")
	if [[ $skip_to ]]; then
		[[ $name != "$skip_to" ]] || skip_to=
		results=$((results + 1))
		continue
	fi
	if [[ ! -f $file ]]; then
		echo "not ok $number $name # there is no test $file"
		failed=$((failed + 1)) results=$((results + 1))
		continue
	fi
	if reason=$(left_out "$file"); then
		echo "ok $number $name # SKIP $reason"
		results=$((results + 1))
		continue
	fi
	# Print the name first: if the machine crashes, it is the last line.
	echo "# running $name"
	run_one "$file" "$name"
done
# An arithmetic error in this script ends the loop without a message.
if ((results < ${#files[@]})); then
	number=$((number + 1))
	echo "not ok $number run.sh # $results of ${#files[@]} tests have a result"
	failed=$((failed + 1))
fi

if [[ -w $kmemleak && ! $inner ]]; then
	number=$((number + 1))
	found=$(leaks)
	if [[ $found ]]; then
		sed 's/^/# /' <<<"$found"
		echo "not ok $number kmemleak"
		failed=$((failed + 1))
	else
		echo "ok $number kmemleak"
	fi
fi

if found=$(new_complaints); then
	echo "# complaints in the kernel's log after the last test:"
	head -n 10 <<<"$found" | sed 's/^/#   /'
	echo "not ok $((number + 1)) log"
	failed=$((failed + 1))
fi
rm "$taken"
exit $((failed > 0))
