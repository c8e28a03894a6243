#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Levels on a machine: rlp-apply.service applies a level and confirms it, and each boot loads it. A
# level whose check fails is taken back, and the level before stays in effect. A level that is
# blocked is replaced by the level before. A machine that dies while it applies a level does not
# apply it again.

. "$(dirname "$0")/machine.sh"
. "$(dirname "$0")/levels.sh"
expected='Failed to start .*rlp-apply'

step="rlp-apply.service applies a level, and confirms it"
new_disk
start_machine
booted
policy 10-test 'ring = "canary"' 'health.settle = 2'
check_health 10-not-3 'test $RLP_LEVEL != 3'
install_level 1
guest 'rlp level apply -n'
says '^level 1 is due$'
guest 'systemctl start rlp-apply.service'
guest 'journalctl -b -o cat -u rlp-apply.service'
says '^level 1: level1 is in effect and confirmed, and is loaded at each boot$'
has_level 1
guest 'systemctl start rlp-apply.service && rlp level apply'
says '^level 1 is in effect$'
guest 'systemctl enable --now rlp-apply.timer'
guest 'systemctl show -P NextElapseUSecRealtime rlp-apply.timer'
says .
guest 'systemctl disable --now rlp-apply.timer'
pass "$step"

step="each boot loads the level, and the next level replaces it"
reboot
booted
has_level 1
# A machine that was restarted shows at once that it is protected.
guest 'systemctl start rlp-boot-survived.service'
await 60 "rlp history --json | jq -e '.records[-1] | .action == \"heartbeat\" and
	.boot == \"$boot_id\" and
	.machine.patches[0].state == \"in-effect\"'"
install_level 2
guest 'rlp level apply'
says '^level 2: level2 is in effect and confirmed'
has_level 2
reboot
booted
has_level 2
guest 'test ! -e /sys/module/level1'
pass "$step"

step="a level whose check fails is taken back, and the level before stays in effect"
install_level 3
status 1 'systemctl start rlp-apply.service'
guest 'journalctl -b -o cat -u rlp-apply.service'
says '^level 3 is quarantined: the check 10-not-3 has failed: exit status: 1$'
says '^level 2 is in effect$'
has_level 2
guest 'test ! -e /sys/module/level3'
status 0 'rlp level apply'
says '^level 3 is blocked: it has failed on this machine'
guest 'systemctl reset-failed'
guest 'rlp history --json'
guest "rlp history --json | jq -c '.records[] | select(.level == 3) | [.action, .phase, .result]'"
says '^\["available","state",null\]$'
says '^\["apply","end","taken back"\]$'
says '^\["quarantine","state",null\]$'
reboot
booted
has_level 2
pass "$step"

step="a level that is blocked is replaced by the level before"
install_level 2
policy 20-block 'blocked = [2]'
guest 'rlp level apply'
says '^level 2 is taken back: the policy of this machine blocks it$'
says '^level 2 was taken back, and level 1 is in effect$'
has_level 1
guest "rlp info CVE-2026-0001"
status 6 "rlp info CVE-2026-0002"
reboot
booted
has_level 1
guest "test ! -e /sys/module/level2"
guest "rm /etc/rlp/policy.d/20-block.toml"
pass "$step"

step="a machine that dies while it applies a level does not apply it again"
check_health 20-slow 'touch /run/checks; sleep 1000'
guest sync
guest 'systemctl start --no-block rlp-apply.service'
await 60 'test -e /run/checks'
guest 'cat /proc/version'
says '^level 2$'
# The patch that the boot has loaded has survived.
guest 'rlp boot --survived && sync'
power_cut
start_machine
booted
has_level 1
guest 'rm /etc/rlp/health.d/20-slow && rlp level apply'
says '^level 2 is quarantined: the machine was started again before the level was confirmed$'
says '^level 2 is blocked'
evidence_is_whole
guest 'rlp level release --level 2 && rlp level apply'
says '^level 2: level2 is in effect and confirmed'
has_level 2
pass "$step"

step="a run that is killed is continued by the next one"
back_to_level 1 2
check_health 20-slow 'touch /run/checks; test -e /run/good || sleep 1000'
guest 'systemctl start --no-block rlp-apply.service'
await 60 'test -e /run/checks'
guest 'systemctl kill -s KILL rlp-apply.service; touch /run/good'
await 20 '! systemctl is-active -q rlp-apply.service'
guest 'rlp level status'
says '^level 2 is being applied, or a run was ended$'
guest 'rlp level apply'
says '^level 2: an earlier run was ended, and this one continues it$'
says '^level 2: level2 is in effect and confirmed'
has_level 2
guest 'systemctl reset-failed'
pass "$step"

step="a run that is stopped takes the level back, and the next one applies it"
back_to_level 1 2
guest 'rm /run/good /run/checks'
guest 'systemctl start --no-block rlp-apply.service'
await 60 'test -e /run/checks'
guest 'systemctl stop rlp-apply.service; systemctl reset-failed'
await 60 'test ! -e /sys/kernel/rust_livepatch/level2'
has_level 1
guest 'touch /run/good && rlp level apply'
says '^level 2: level2 is in effect and confirmed'
pass "$step"

step="a hold keeps a level from being applied"
guest 'rlp unload --all'
guest "rlp level hold --until 2999-01-01 --reason 'incident 4711' && rlp level apply"
says '^level 2 is held: incident 4711$'
guest 'test ! -e /sys/kernel/rust_livepatch/level2'
guest 'rlp level release && rlp level apply'
says '^level 2: level2 is in effect and confirmed'
pass "$step"

step="the hook says whether the level covers another kernel, and livepatch.off stops it"
guest "/etc/kernel/postinst.d/rlp $release /boot/vmlinuz-$release"
says "^level 2 covers $release_pattern\$"
guest '/etc/kernel/postinst.d/rlp 9.9.9 && /etc/kernel/postinst.d/rlp'
says '^level 2 does not cover 9.9.9: it has no patch for 9.9.9$'
power_off
start_machine livepatch.off
booted
guest 'rlp level apply'
says "^livepatch.off is on the kernel's command line: nothing is loaded\$"
guest 'test ! -e /sys/module/rust_livepatch'
pass "$step"

finish_test
