#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# run.sh [NAME...]: run these tests, or all of them, on this machine, in the order of TESTS.
# run.sh --check: compare TESTS with the tests that there are.
# A test passes if it says so and if the kernel had nothing to complain about
# since the one before it. Needs root, the modules, and the kernel's kselftest helpers:
#
#	RLP_MODULES=folder of the .ko files (../modules)
#	RLP_KSELFTEST=linux/tools/testing/selftests/kselftest (../kselftest, see lib/common.sh)
#	RLP_TIMEOUT=seconds a test may take (120); a test that needs more has a
#		line "# timeout: seconds"
#	RLP_SLOW=n: this machine is so many times slower; wait longer for everything
#	RLP_DEBUG=name: this is that debug kernel (debug/); run the tests for it too
#	RLP_GUEST=1: this machine is there for the tests alone; what the kernel said as
#		it booted counts, and a test may leave it without ftrace
#	RLP_AFTER=name: go on behind this test, in a list that was begun before

cd "$(dirname "$0")" || exit 1
. lib/tests.sh
[[ ${1:-} != --check ]] || { check_list; exit; }
# As tools/stage lays it down.
base=$(realpath ..)
export RLP_MODULES=${RLP_MODULES:-$base/modules} PATH=$base/usr/local/bin:$PATH

# What must not be in the kernel's log. A test that provokes one of these on
# purpose says which lines are meant: "# expect-log: extended regular expression".
complaints='WARNING:|BUG:|BUG |Oops|Kernel panic|general protection fault|unable to handle|invalid opcode|double fault|cut here|Call Trace|panicked at|possible recursive locking|circular locking dependency|irq lock inversion|lock order inversion|inconsistent lock state|invalid wait context|suspicious RCU usage|bad unlock balance|bad contention|held lock freed|lock held when returning|still held|nested lock was not taken|unsafe|rcu.*(stall|detected)|RCU.*stall|rcu_tasks.*detected|blocked for more than|soft lockup|hard LOCKUP|workqueue lockup|scheduling while atomic|sleeping function called|KASAN|KCSAN:|KMSAN|KFENCE|UBSAN|kmemleak: .* suspected|memory leak detector disabled|ODEBUG|refcount_t:|corruption|Bad page|bad pte|nobody cared'

# A run inside of a test (log-check) leaves some things to the one outside; the log not, if
# RLP_INNER says "takes".
inner=${RLP_INNER:-}
export RLP_INNER=1

marker() {
	echo "rust_livepatch selftest: $*" >/dev/kmsg
}

# What the kernel has said by now. Where it says so for the tests alone it is taken out of its
# log: that would be longer to read with each of them. (The system call does both at once.)
taken=$(mktemp)
take_log() {
	if [[ ${RLP_GUEST:-} && ${inner:-takes} == takes ]]; then
		dmesg --syslog --read-clear >"$taken"
	else
		dmesg >"$taken"
	fi
}

# Of what was taken, what came after a mark, or all if that is not there any more.
log_since() {
	awk -v mark="rust_livepatch selftest: $1" '
		found { print }
		index($0, mark) { found = 1 }
		!found { kept[++n] = $0 }
		END { if (!found) for (i = 1; i <= n; i++) print kept[i] }' "$taken"
}

# What the kernel complained of since "since", which is moved on to here.
new_complaints() { # EXPECTED
	local from=$since

	since="end $$.$number"
	marker "$since"
	take_log
	log_since "$from" | without_foreign_races | grep -E "$complaints" | grep -vE "${1:-^$}"
}

# Without the reports of KCSAN in which no module has part: the kernel's own races are
# not for us to find; nor has one part whose code an interrupt only came upon. (KASAN's begin
# and end with such a line too.) Another CPU may say something meanwhile.
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

# Wait for a process no longer than so many seconds.
wait_for() {
	local pid=$1 deadline=$((SECONDS + $2))

	while kill -0 "$pid" 2>/dev/null; do
		((SECONDS < deadline)) || return 1
		sleep 0.05
	done
}

option() { # FILE OPTION: what follows "# option: " in a test
	sed -n "s/^# $2: *//p" "$1" | head -n 1
}

# What kmemleak finds, or why it finds nothing. A leak shows only some time after the last
# reference is gone.
kmemleak=/sys/kernel/debug/kmemleak
leaks() {
	# It refuses when it has ended, which it does for good if something goes wrong with it.
	if echo scan >$kmemleak && sleep 6 && echo scan >$kmemleak; then
		head -n 80 $kmemleak
	else
		echo "kmemleak has ended"
	fi
}

run_one() {
	local file=$1 name=$2 start=${EPOCHREALTIME/./} limit expected status pid found parts covered
	local mark="begin $name $$.$number" output late=0

	output=$(mktemp)
	limit=$(option "$file" timeout)
	limit=$((${RLP_TIMEOUT:-${limit:-120}} * ${RLP_SLOW:-1}))
	expected=$(option "$file" expect-log)

	marker "$mark"
	# A session of its own, so that all it leaves behind can be killed.
	setsid bash "$file" >>"$output" 2>&1 </dev/null &
	pid=$!
	if ! wait_for $pid "$limit"; then
		late=1
		echo "# timeout after $limit s" >>"$output"
		# The test's own, and whoever else may hold what they wait for.
		for task in $({ pgrep -s $pid; pgrep -r D; } | sort -nu); do
			echo "# $task $(<"/proc/$task/comm"): $(<"/proc/$task/wchan")"
			sed 's/^/#     /' "/proc/$task/stack"
		done >>"$output" 2>&1
		# Let it undo what it did (see lib/common.sh), if it still can.
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
	# Of these bash ends a function or a loop, but not the script.
	! grep -q '(error token is' "$output" || status=1
	if ((status == 4)) && ! grep -q '# SKIP .' "$output"; then
		echo "# it ended with 4, as who skips, and gave no reason"
		status=1
	fi
	if [[ $found ]]; then
		echo "# the kernel complained:"
		head -n 10 <<<"$found" | sed 's/^/#   /'
		echo "# the end of its log:"
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
	# A test of TESTS, or the path of any other.
	file=$(test_files debug | grep "/test-$name\.sh\$") || file=$name
	files+=("$file")
done
((${#files[@]})) || mapfile -t files < <(test_files ${RLP_DEBUG:+debug})

# What debug/test-unchanged.sh compares with. With the first tracer, whichever it is, the
# trace buffer grows to its full size and stays there.
if [[ ${RLP_DEBUG:-} && ! ${RLP_STATE:-} ]]; then
	echo nop >/sys/kernel/tracing/current_tracer
	RLP_STATE=$(mktemp)
	export RLP_STATE
	debug/kernel-state >"$RLP_STATE" || : >"$RLP_STATE"
fi

number=0 failed=0 results=0 skip_to=${RLP_AFTER:-}
since="begin run.sh $$"
# A machine of its own has said nothing yet that was not meant for the tests.
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
	# Said beforehand: it names the culprit if the machine does not survive.
	echo "# running $name"
	run_one "$file" "$name"
done
# An error in our own arithmetic ends the loop without a word.
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
	echo "# the kernel complained after the last test:"
	head -n 10 <<<"$found" | sed 's/^/#   /'
	echo "not ok $((number + 1)) log"
	failed=$((failed + 1))
fi
rm "$taken"
exit $((failed > 0))
