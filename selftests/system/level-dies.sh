#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Something dies after a level was loaded and before it was checked: first the program that applies
# it, and then the kernel. The level before is in effect after that, and rlp says why.

. "$(dirname "$0")/machine.sh"
. "$(dirname "$0")/levels.sh"
expected='level 5 panics|the kernel panics while patch|Call Trace|end Kernel panic|---\['

# settles: wait until the patch of a level is in effect and on probation, and the run waits for it
# to settle before its checks.
settles() {
	await 60 "grep -q '\"phase\": \"checking\"' /var/lib/rlp/level/intent"
	guest 'cat /proc/version'
	says "^level $1\$"
	guest 'rlp status'
	says "level$1 is on probation"
	guest 'test ! -e /run/checked'
}

step="a level is in effect"
new_disk
start_machine
booted
check_health 10-checked 'touch /run/checked'
policy 10-test 'ring = "canary"' 'health.settle = 1'
install_level 1
applies_level 1
pass "$step"

step="the agent dies before the checks: the loader takes the level back"
policy 10-test 'ring = "canary"' "health.settle = $((20 * slow))" \
	"health.probation = $((25 * slow))"
install_level 2
guest 'rm /run/checked && systemd-run -q -u agent rlp level apply'
settles 2
guest 'systemctl kill -s KILL agent; systemctl reset-failed agent'
await 90 'grep -q "^level 1$" /proc/version'
has_level 1
says '^level 2 is being applied, or a run was ended$'
await 30 'rlp history | grep -q "level2  loader: nobody has confirmed it in time"'
guest 'rlp level apply'
says '^level 2 is quarantined: it was taken back before it was confirmed, and the run was ended$'
says '^level 2 is blocked: it has failed on this machine'
has_level 1
guest 'test ! -e /run/checked'
evidence_is_whole
pass "$step"

step="after that, the level can be applied"
policy 10-test 'ring = "canary"' 'health.settle = 1'
guest 'rlp level release --level 2'
applies_level 2
guest 'test -e /run/checked'
pass "$step"

# The boot in which the kernel panics has loaded the patch of level 2. No record says that this boot
# has survived the patch.
step="the kernel panics 30 s after a level was loaded: the next boot has the level before"
guest 'systemctl disable --now rlp-boot-survived.timer'
reboot
booted
has_level 2
guest 'test -e /var/lib/rlp/boot/intent'
policy 10-test 'ring = "canary"' 'health.settle = 60' 'health.probation = 300'
install_level 5
before=$boot_id
guest 'systemd-run -q -u agent rlp level apply'
settles 5
loaded=$SECONDS
wait_shell
[[ $boot_id != "$before" ]] || fail "the machine has not rebooted"
echo "# the shell of the next boot after $((SECONDS - loaded)) s"
grep -q 'Kernel panic - not syncing: level 5 panics' "$console" ||
	fail "the kernel has not panicked"
booted
has_level 2
guest 'journalctl -b -o cat -u rlp-boot.service'
says '^level 5: the machine failed while it was applied, so the patches of that boot are loaded again$'
says '^level2: loaded$'
guest 'rlp level apply'
says '^level 5 is quarantined: the machine was started again before the level was confirmed$'
says '^level 5 is blocked'
has_level 2
evidence_is_whole
pass "$step"

step="a level that has made the kernel panic is not applied again"
reboot
booted
has_level 2
guest 'rlp level apply'
says '^level 5 is blocked: it has failed on this machine: the machine was started again'
guest 'test ! -e /sys/module/level5'
pass "$step"

finish_test
