#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The clock of a machine is wrong: it is set forward and back by a year, and a boot begins in 1970.
# A delay is neither shorter nor longer because of that, and a hold does not end. If the policy has
# a window, nothing is applied. The records stay in their order.

. "$(dirname "$0")/machine.sh"
. "$(dirname "$0")/levels.sh"
year=$((365 * 86400))
# The hardware clock stays as it is.
right_clock='date -s @$(cat /sys/class/rtc/rtc0/since_epoch)'
doubt='the clock does not agree with the time that has passed'

# set_clock SECONDS: set the clock of the guest forward by this time, or back.
set_clock() {
	guest "date -s @\$((\$(date +%s) + $1))"
}

# wrong_clock SECONDS DECISION NEXT: with a clock that is wrong by this time, the level of the
# package is not applied, and this is what rlp says. The words of the run are in $said.
wrong_clock() {
	set_clock "$1"
	guest 'rlp level apply'
	said=$reply
	says "^$2\$"
	says "^  next: $3"
	guest 'rlp level status'
	says "^$doubt\$"
	says "^decision: $2\$"
	guest "$right_clock"
	has_level 1
}

# delay_ends TEXT: print the second at which the delay ends, as a run says.
delay_ends() {
	date -u -d "$(sed -n 's/^  next: .* after \([-0-9]* [:0-9]*\) UTC.*$/\1/p' <<<"$1")" +%s
}

# records_in_order: the chain of the records is whole, and has them in the order of their numbers.
records_in_order() {
	evidence_is_whole
	guest "rlp history --json | jq -e '[.records[].seq] as \$all |
		\$all == [range(1; 1 + (\$all | length))] and .damaged == 0'"
}

step="a delay is neither shorter nor longer because the clock is wrong"
new_disk
start_machine
booted
policy 10-test 'ring = "canary"' 'health.settle = 1'
# rlp names the time at which the timer applies a level, but only if the timer is enabled and runs.
# In this test, the timer runs and starts nothing.
guest "rlp level status"
says '^rlp-apply.timer is not enabled: no run applies or takes back levels$'
never=/etc/systemd/system/rlp-apply.timer.d/never.conf
guest "mkdir ${never%/*} && printf '[Timer]\nOnCalendar=\nOnCalendar=2099-01-01\n' >$never"
guest 'systemctl daemon-reload && systemctl enable rlp-apply.timer'
guest 'rlp level status'
says '^rlp-apply.timer is stopped: no run applies or takes back levels$'
guest 'systemctl start rlp-apply.timer'
guest 'rlp level status'
says_not 'no run applies or takes back levels'
install_level 1
applies_level 1
policy 20-delay 'delay.canary = { unknown = 72 }'
install_level 2
guest 'rlp level apply'
says '^level 2 waits: the ring canary waits 72 h'
end=$(delay_ends "$reply")
for wrong in $year -$year; do
	wrong_clock $wrong 'level 2 waits: the ring canary waits 72 h for a fix of severity unknown' \
		'it is applied by the first run of rlp-apply.timer after '
	moved=$(($(delay_ends "$said") - end))
	((moved >= -60 && moved <= 60)) || fail "the delay ends $moved s later: $said"
done
guest 'rlp level status'
says_not "$doubt"
pass "$step"

step="a hold does not end because the clock is wrong"
guest 'rm /etc/rlp/policy.d/20-delay.toml'
guest "rlp level hold --until \$(date -d '+10 days' +%F) --reason 'incident 1'"
wrong_clock $year 'level 2 is held: incident 1' \
	'the clock is in doubt, so the hold lasts until it is set right, or has agreed for 24 h$'
guest 'rlp level apply'
says '^level 2 is held: incident 1$'
says_not 'in doubt'
guest 'rlp level release'
pass "$step"

step="nothing is applied in a window while the clock is wrong"
policy 20-window 'window.from = "00:00"' 'window.to = "00:00"'
wait="level 2 waits: $doubt, and the policy has a window"
wrong_clock -$year "$wait" 'it is applied by the first run of rlp-apply.timer after '
wrong_clock $year "$wait" 'it is applied by the first run of rlp-apply.timer after '
applies_level 2
guest 'rm /etc/rlp/policy.d/20-window.toml'
pass "$step"

step="the hardware clock begins in 1970: the boot loads the level, and the next one is applied"
install_level 3
guest 'rlp level apply --dry-run'
says '^level 3 is due$'
power_off
RTC=1970-01-01 start_machine
booted
guest 'cat /sys/class/rtc/rtc0/since_epoch'
((reply < 86400)) || fail "the hardware clock has $reply s"
has_level 2
# systemd sets the clock to the time of its own release.
guest 'date -s @100'
guest 'rlp level status'
says "^$doubt\$"
applies_level 3
guest 'date +%Y'
says '^1970$'
guest 'rlp heartbeat && rlp status --nagios'
guest 'rlp history --last 1'
says '^1970-01-01 .*heartbeat'
records_in_order
pass "$step"

step="the clock is right again: the report counts no record as older than the one before it"
power_off
start_machine
booted
has_level 3
says_not "$doubt"
records_in_order
guest 'rlp heartbeat && rlp evidence export --unsigned /root/evidence'
guest 'rlp report --json --from 1970-01-01 --to 2999-12-31 /root/evidence >/run/report.json;
	jq -c ".hosts[0].facts, .rows[]" /run/report.json'
guest 'jq -e ".hosts[0] | .evidence == \"whole\" and .facts.set_back >= 1 and
	([.facts.boots[].first] as \$times | \$times == (\$times | sort))" /run/report.json'
# The report dates no level to 1970: a record is not older than the records before it.
guest 'jq -e "[.rows[] | .state == \"verified\" and .applied <= .verified and .applied > \"2026\"] |
	length == 3 and all" /run/report.json'
pass "$step"

finish_test
