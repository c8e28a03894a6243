#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A patch that breaks the machine is on probation: the loader takes it back without the help of any
# program. If the machine panics, the next boot says which patch was on probation, and does not load
# it.

. "$(dirname "$0")/machine.sh"
patch=/root/modules/rlp_patch_a.ko
late=rust_livepatch_late

# The log of a panic survives in memory that no other part of the kernel uses.
ramoops='memmap=1M$0x30000000 ramoops.mem_address=0x30000000 ramoops.mem_size=0x100000 ramoops.record_size=0x20000'

step="a patch that breaks execve is taken back"
new_disk
# shellcheck disable=SC2086 # several parameters
start_machine $ramoops
booted
guest 'echo ramoops >/etc/modules-load.d/ramoops.conf; modprobe ramoops'
guest 'modprobe rust_livepatch'
guest "rlp load --probation $((15 * slow)) --parameter=funcs=:__x64_sys_execve=deny $patch"
says 'on probation'
! try '(exec true)' || fail "execve still works"
await 90 '(exec true)'
await 60 'test ! -e /sys/kernel/rust_livepatch/rlp_patch_a'
await 30 'rlp history | grep -q "rlp_patch_a  loader: the loader has removed it"'
guest 'rlp unload rlp_patch_a'
booted
pass "$step"

step="a patch that breaks networking is taken back"
guest 'systemd-run -q -u listener nc -lk 127.0.0.1 7777'
await 20 'nc -z 127.0.0.1 7777'
guest "rlp load --probation $((15 * slow)) --parameter=funcs=:__x64_sys_connect=deny $patch"
! try 'nc -z 127.0.0.1 7777' || fail "connect still works"
await 90 'nc -z 127.0.0.1 7777'
guest 'rlp unload rlp_patch_a'
status 5 "rlp load --test 'nc -z 127.0.0.1 7777' --parameter=funcs=:__x64_sys_connect=deny $patch"
says "the test 'nc -z 127.0.0.1 7777' has failed"
guest 'nc -z 127.0.0.1 7777 && test ! -e /sys/module/rlp_patch_a'
pass "$step"

# The patch kills rlp in pidfd_open(2), which rlp calls to wait for the operator's test.
step="a patch is taken back although it kills rlp"
guest "systemd-run -q -u agent rlp load --probation $((20 * slow)) --test 'sleep 1000' \\
	--parameter=funcs=:cmdline_proc_show,:__x64_sys_pidfd_open=kill \
	--parameter=kills=rlp $patch"
await 60 'grep -q patched /proc/cmdline'
await 20 '! systemctl is-active -q agent'
guest 'systemctl show -P Result -P ExecMainStatus agent | xargs'
[[ $reply == 'signal 9' ]] || fail "rlp has ended like this: $reply"
guest 'rlp status'
says 'rlp_patch_a is on probation'
await 60 '! grep -q patched /proc/cmdline'
await 30 'rlp history | grep -q "rlp_patch_a  loader: nobody has confirmed it"'
guest 'rlp unload rlp_patch_a; systemctl reset-failed agent'
pass "$step"

step="the boot after a panic names the patch that was on probation"
expected='rlp_patch: a patch that panics|the kernel panics while patch|Call Trace|end Kernel panic|---\['
# The timer rlp-boot-survived is not enabled. So only an orderly shutdown records that a boot has
# survived its patches, and a panic prevents that.
guest "rlp install /root/modules/$late.ko && systemctl disable --now rlp-boot-survived.timer"
reboot
booted
guest 'rlp status'
says "^$late"
guest "rlp install $patch"
guest "rlp load --probation 300 --parameter=funcs=:__x64_sys_chroot=panic $patch"
before=$boot_id
send 'chroot / true'
wait_shell
[[ $boot_id != "$before" ]] || fail "the machine has not rebooted"
booted
guest 'rlp status'
says 'the kernel has panicked while rlp_patch_a was on probation'
guest 'rlp history'
says 'rlp_patch_a  loader: the kernel has panicked while it was on probation'
status 6 'rlp doctor'
says 'the kernel has panicked while rlp_patch_a was on probation'
pass "$step"

step="the boot after a panic loads neither that patch nor the patches of the boot that did not last"
guest 'journalctl -b -o cat -u rlp-boot.service'
says '^rlp_patch_a: the kernel has panicked while it was on probation, so it is not loaded any more$'
says "^$late: the machine failed after the last boot with it, so it is not loaded any more$"
guest "test ! -e /sys/module/$late && test ! -e /sys/module/rlp_patch_a"
status 2 'rlp status --nagios'
guest 'rlp status'
says "$late is not loaded at boot any more"
says 'rlp_patch_a is not loaded at boot any more'
guest 'rlp uninstall rlp_patch_a'
guest "rlp install /root/modules/$late.ko"
reboot
booted
guest 'rlp status'
says "^$late"
guest 'journalctl -b -o cat -u rlp-boot.service'
says_not panicked
pass "$step"

finish_test
