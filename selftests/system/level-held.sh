#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Something holds a function or a module that a level needs: another user of ftrace, a task in
# uninterruptible sleep, the module of the level before, and a transition that was forced. The level
# before stays in effect meanwhile, and rlp says what holds the level up.

. "$(dirname "$0")/machine.sh"
. "$(dirname "$0")/levels.sh"
intree=/sys/kernel/livepatch/rlp_intree

step="in-tree livepatch holds a function of the level: the level is refused"
new_disk
start_machine
booted
policy 10-test 'ring = "canary"' 'health.settle = 1' 'health.deadline = 5'
install_level 1
guest 'insmod /root/modules/rlp_intree.ko funcs=:version_proc_show says=intree'
await 60 "test \$(cat $intree/transition) = 0"
status 3 'rlp level apply'
says "failed to register ftrace handler for function 'version_proc_show' \\(-16\\)"
says 'another user of ftrace has redirected the function: in-tree livepatch'
says 'next: remove that user first'
guest 'cat /proc/version'
says '^intree$'
guest 'rlp level status'
says '^no level is in effect$'
says '^decision: level 1 is due$'
guest 'test ! -e /sys/module/level1 && test ! -e /var/lib/rlp/level/intent'
guest "echo 0 >$intree/enabled"
await 60 "test ! -e $intree"
guest 'rmmod rlp_intree'
pass "$step"

step="a kprobe on a function of the level does not hold it"
guest 'echo p:held version_proc_show >/sys/kernel/tracing/kprobe_events &&
	echo 1 >/sys/kernel/tracing/events/kprobes/held/enable'
applies_level 1
guest 'echo 0 >/sys/kernel/tracing/events/kprobes/held/enable &&
	echo >/sys/kernel/tracing/kprobe_events'
has_level 1
pass "$step"

# Only a signal that kills the task ends its sleep.
step="a task in D state holds a level up: each run takes it back at its deadline"
blocker sleeper
guest 'grep State: /proc/$(systemctl show -P MainPID sleeper)/status'
says '^State:.D'
install_level 4
for run in 1 2; do
	status 5 'rlp level apply'
	says 'level4 was loaded, and its transition was reversed'
	says 'not complete after 5 s, and is reversed'
	says 'blocked by cat \([0-9]+\) inside sleep_show'
	has_level 1
	says '^decision: level 4 is due$'
	guest 'test ! -e /sys/module/level4'
	echo "# run $run has taken the level back"
done
guest 'rlp history --json | jq -r ".records[] | select(.action == \"apply\" and .level == 4 and .phase == \"end\") | .result" | xargs'
[[ $reply == 'taken back taken back' ]] || fail "the results of the runs: $reply"
guest 'systemctl stop sleeper'
applies_level 4
pass "$step"

step="a level is taken back while the module of the level before is still loaded"
guest 'test -e /sys/module/level1 && test ! -e /sys/kernel/rust_livepatch/level1'
back_to_level 1 4
guest 'test -e /sys/module/level4 && test ! -e /sys/kernel/rust_livepatch/level4'
applies_level 4
back_to_level 1 4
pass "$step"

step="a transition that an operator forces lets the run go on"
policy 10-test 'ring = "canary"' 'health.settle = 1'
blocker sleeper
guest 'systemd-run -q -u agent rlp level apply'
await 60 'test $(cat /sys/kernel/rust_livepatch/level4/transition) = 1'
guest 'rlp force level4 --yes-i-know'
await 60 '! systemctl is-active -q agent'
has_level 4
guest 'rlp status'
says forced
pass "$step"

step="the module of the level before is pinned: the level that is blocked leaves without it"
guest 'systemctl stop sleeper'
policy 20-block 'blocked = [4]'
status 3 'rlp level apply'
says '^level 4 is taken back: the policy of this machine blocks it$'
says '^level 4 is blocked, and is not loaded at boot any more$'
says '^  level1 cannot be loaded: its old module stays until the next boot: tasks were forced$'
says '^  next: give the patch another name, or reboot$'
says '^level 4 was taken back, and no level is in effect$'
guest 'cat /proc/version'
says_not '^level'
guest 'rlp level status'
says '^no level is in effect$'
pass "$step"

step="after the next boot, the level before is applied"
reboot
booted
guest 'cat /proc/version'
says_not '^level'
guest 'rlp level status'
says '^no level is in effect$'
says '^decision: no level is in effect, and level 1 was verified on this machine$'
guest 'rlp level apply'
has_level 1
guest 'test ! -e /sys/module/level4'
evidence_is_whole
pass "$step"

finish_test
