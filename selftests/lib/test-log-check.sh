#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests of run.sh itself. If the kernel logs a complaint that a test does not declare, run.sh
# must report a failure, even if the test itself succeeds. An exit status of 4 is a skip. Any
# other exit status except 0 is a failure.
# expect-log: rlp_warn|cut here|Call Trace|address: 0$|on CPUs/tasks:$|possible circular locking|stuck for 22s|task cat:1 blocked|underflow; use-after|loader.rs:1:1|KCSAN: data-race in one / two|WARNING: two.c:2|UBSAN: .* in two.c:2
# timeout: 300

set -e
. "$(dirname "$0")/patches.sh"
runner=$(realpath "$(dirname "$0")/../run.sh")
tests=$(mktemp -d)

# outcome TEXT [SECONDS]: run a test with this text; set "line" to its result and "status" to
# the exit status of run.sh.
outcome() {
	local file=$tests/test-inner.sh output

	printf '#!/bin/bash\n%s\n' "$1" >"$file"
	output=$(RLP_TIMEOUT=${2:-30} RLP_AFTER='' RLP_INNER=$inner bash "$runner" "$file") &&
		status=0 || status=$?
	line=$(grep -E '^(not )?ok 1 inner ' <<<"$output") || {
		sed 's/^/#     /' <<<"$output"
		fail "run.sh printed no result"
	}
}

warn="insmod '$(module_file rlp_warn)' && rmmod rlp_warn"

# First as in a guest, where run.sh clears the log after each test.
inner=clear-log
for round in 1 2; do
	outcome "true"
	[[ $line == "ok 1 inner "* && $status == 0 ]] || fail "a good test, round $round: $line"
	outcome "$warn"
	[[ $line == "not ok 1 inner "* && $status != 0 ]] || fail "a warning, round $round: $line"
done
outcome "true"
[[ $line == "ok 1 inner "* && $status == 0 ]] || fail "after a warning: $line"
pass "a test fails if the kernel warned, and the next test passes"
inner=1

outcome "true"
[[ $line == "ok 1 inner "* && $status == 0 ]] || fail "a good test: $line"
pass "a good test passes"

outcome "exit 1"
[[ $line == "not ok 1 inner "* && $status != 0 ]] || fail "a bad test: $line"
pass "a test that exits with 1 fails"

outcome "echo '1..0 # SKIP no reason'; exit 4"
[[ $line == "ok 1 inner # SKIP no reason"* && $status == 0 ]] || fail "a skipped test: $line"
pass "a test that exits with 4 is skipped"

outcome "exit 4"
[[ $line == "not ok 1 inner "* && $status != 0 ]] || fail "a skip without a reason: $line"
pass "a test that exits with 4 and prints no reason fails"

outcome "for i in 1 2; do no=\$((1 / 0)); done"
[[ $line == "not ok 1 inner "* && $status != 0 ]] || fail "an error in arithmetic: $line"
pass "a test with an arithmetic error fails"

outcome "$warn"
[[ $line == "not ok 1 inner "* && $status != 0 ]] || fail "a warning: $line"
pass "a test fails if the kernel warned while it ran"

outcome "true"
[[ $line == "ok 1 inner "* && $status == 0 ]] || fail "after a warning: $line"
pass "the next test passes"

outcome "# expect-log: rlp_warn: something else
$warn"
[[ $line == "not ok 1 inner "* && $status != 0 ]] || fail "another warning: $line"
pass "a test fails if it expected another complaint"

outcome "sleep 60" 1
[[ $line == "not ok 1 inner "* && $status != 0 ]] || fail "too long: $line"
pass "a test fails if it takes too long"

for text in "BUG: unable to handle page fault for address: 0" \
	"INFO: rcu_preempt detected stalls on CPUs/tasks:" \
	"WARNING: possible circular locking dependency detected" \
	"watchdog: BUG: soft lockup - CPU#0 stuck for 22s!" \
	"INFO: task cat:1 blocked for more than 120 seconds." \
	"refcount_t: underflow; use-after-free." \
	"rust_kernel: panicked at loader.rs:1:1:"; do
	outcome "echo '$text' >/dev/kmsg"
	[[ $line == "not ok 1 inner "* && $status != 0 ]] || fail "'$text' in the log: $line"
	pass "a test fails for this line: $text"
done
# race FRAME...: print commands that log a report of KCSAN with these stack frames.
race() {
	local line bar="=================================================================="

	for line in "$bar" "BUG: KCSAN: data-race in one / two" "" \
		"write to 0xffff888000000000 of 4 bytes by task 1 on cpu 0:" "${@/#/ }" "$bar"; do
		echo "echo '$line' >/dev/kmsg"
	done
}
outcome "$(race 'one+0x12/0x34')"
[[ $line == "ok 1 inner "* && $status == 0 ]] || fail "a race of the kernel: $line"
pass "a race without a module in its stacks is ignored"
outcome "$(race 'one+0x12/0x34 [rlp_target]')"
[[ $line == "not ok 1 inner "* && $status != 0 ]] || fail "a race of a module: $line"
outcome "$(race 'one+0x12/0x34')
$(race 'one+0x12/0x34 [rlp_target]')"
[[ $line == "not ok 1 inner "* && $status != 0 ]] || fail "two races: $line"
pass "a race of a module makes the test fail"
interrupt="asm_sysvec_apic_timer_interrupt+0x1a/0x20"
outcome "$(race 'one+0x12/0x34' "$interrupt" 'three+0x12/0x34 [rlp_target]')"
[[ $line == "ok 1 inner "* && $status == 0 ]] || fail "a race in an interrupt: $line"
outcome "$(race 'one+0x12/0x34 [rlp_target]' "$interrupt" 'three+0x12/0x34')"
[[ $line == "not ok 1 inner "* && $status != 0 ]] || fail "a module's race in an interrupt: $line"
pass "code that was interrupted is no part of a race in the interrupt"
for text in "WARNING: two.c:2 at two" "UBSAN: shift-out-of-bounds in two.c:2:2"; do
	outcome "$(race "$text")"
	[[ $line == "not ok 1 inner "* && $status != 0 ]] || fail "'$text' amid a race: $line"
done
pass "a complaint of another CPU in the middle of a report is not lost"
rm -r "$tests"
finish
