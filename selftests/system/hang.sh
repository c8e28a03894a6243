#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A service sleeps in a function that a patch replaces, so the transition does not complete. rlp
# names the service, and an operator ends the transition in each of the ways that operating.rst
# lists. Also: a cumulative patch falls back, and a CVE number is looked up.

. "$(dirname "$0")/machine.sh"
patch=/root/modules/rlp_patch_a.ko name=rlp_patch_a
hang="--parameter=funcs=rlp_target:sleep_show $patch"
cmdline=/root/modules/rust_livepatch_cmdline.ko
fix=/root/modules/fix.ko

step="a service whose sleep can be interrupted holds up a transition for a while"
new_disk
start_machine
booted
# The loader interrupts the sleep after 3 s. A slow guest may show the service too late.
for ((attempt = 1;; attempt++)); do
	guest 'systemd-run -q -u sleeper sleep infinity'
	await 20 'grep -q sys_pause /proc/$(systemctl show -P MainPID sleeper)/stack'
	! try "rlp load --timeout 1 $fix" || reply=
	[[ $reply != *"restart sleeper.service"* && $attempt -lt 10 ]] || break
	guest 'rlp unload fix; systemctl stop sleeper'
done
says '1 task is inside [a-z0-9_]*sys_pause\(\), which the transition changes'
says 'sleep \([0-9]+\): it sleeps there, .*: systemctl restart sleeper\.service$'
says '^ +[a-z0-9_]*sys_pause\+0x'
# The service leaves the system call, and calls it again.
guest "rlp load --timeout 120 $fix"
guest 'rlp status'
says 'in effect since'
guest 'rlp unload fix; systemctl stop sleeper'
pass "$step"

step="rlp names the service that holds up a transition"
blocker sleeper
guest "rlp load --dry-run $hang"
guest "test ! -e /sys/module/$name"
status 4 "rlp load --timeout 2 $hang"
says '1 task is inside sleep_show\(\), which the transition changes'
says '^ +sleep_show\+0x'
guest 'rlp status'
says 'being enabled: [0-9]+ of [0-9]+ tasks are switched'
says '^ +cat \([0-9]+\): '
guest 'rlp status --json | jq -r ".. | .unit? // empty"'
[[ $reply == sleeper.service ]] || fail "the unit is '$reply'"
status 1 'rlp status --nagios'
pass "$step"

step="a load that waits ends when the service is stopped"
guest "systemd-run -q -u load rlp load --timeout 300 $hang"
await 60 "test \$(cat /sys/kernel/rust_livepatch/$name/transition) = 1"
guest 'systemctl is-active load'
guest 'systemctl stop sleeper.service'
await 60 '! systemctl is-active -q load'
guest 'systemctl show -P Result load'
[[ $reply == success ]] || fail "rlp load: $reply"
guest 'rlp status'
says 'in effect since'
guest "rlp unload $name"
says "^$name: unloaded$"
pass "$step"

step="a transition is reversed"
blocker sleeper
status 4 "rlp load --timeout 1 $hang"
guest 'rlp reverse --dry-run'
guest "test \$(cat /sys/kernel/rust_livepatch/$name/enabled) = 1"
guest 'rlp reverse'
says "^$name: reversed$"
await 60 "test ! -e /sys/kernel/rust_livepatch/$name"
guest "rlp unload $name"
guest 'systemctl is-active sleeper.service'
pass "$step"

step="a transition is reversed at its deadline, and the log names the service's task"
guest 'systemctl show -P MainPID sleeper.service'
pid=$reply
status 5 "rlp load --deadline 3 --timeout 200 $hang"
guest "test ! -e /sys/module/$name"
guest 'journalctl -b -k -o cat --no-pager'
says "patch '$name': the transition is not complete after 3 s, and is reversed"
says "patch '$name': blocked by cat \($pid\) inside sleep_show$"
await 30 "rlp history | grep -q '$name  loader: its transition was not complete by the deadline'"
pass "$step"

step="a cumulative patch that is taken back falls back to what it has replaced"
guest "rlp load $cmdline"
guest 'cat /proc/cmdline'
says '^this has been live patched$'
guest "rlp load --probation 300 --parameter=replace=Y --parameter=funcs=:version_proc_show $patch"
guest 'cat /proc/cmdline /proc/version'
says '^console='
says '^patched$'
guest "rlp unload $name"
says 'rust_livepatch_cmdline is in effect again'
guest 'cat /proc/cmdline'
says '^this has been live patched$'
guest 'rlp unload --all'
pass "$step"

step="rlp says which patch fixes a CVE"
status 6 'rlp info CVE-2026-0002'
guest "rlp load $fix"
guest 'rlp info CVE-2026-0002'
says fix
status 6 'rlp info CVE-2026-0009'
guest 'rlp unload fix'
status 6 'rlp info CVE-2026-0002'
pass "$step"

step="a transition is forced by hand only, and that is recorded"
status 4 "rlp load --timeout 1 $hang"
status 3 "rlp force $name"
guest "cat /sys/kernel/rust_livepatch/$name/transition"
[[ $reply == 1 ]] || fail "the transition was forced without --yes-i-know"
guest "rlp force $name --yes-i-know"
await 60 "test \$(cat /sys/kernel/rust_livepatch/$name/transition) = 0"
guest 'rlp status'
says 'forced'
status 1 'rlp status --nagios'
guest "rlp history --json | jq -r '.records[] | select(.patch == \"$name\" and .action == \"force\" and .phase != \"event\") | .phase' | xargs"
[[ $reply == 'begin end' ]] || fail "the history has: $reply"
await 30 "rlp history | grep -q '$name  loader: its transition was forced'"
guest 'systemctl is-active sleeper.service'
pass "$step"

step="after the next boot, only the record of the forced patch is left"
reboot
booted
guest "test ! -e /sys/module/$name"
guest 'rlp history'
says "$name  force"
guest "rlp load $hang"
guest 'rlp status'
says_not 'forced'
guest "rlp unload $name"
pass "$step"

finish_test
