#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Installed patches are loaded at each boot, and a broken store never fails the boot.

. "$(dirname "$0")/machine.sh"
late=rust_livepatch_late pair=rust_livepatch_pair cmdline=rust_livepatch_cmdline
store=/var/lib/rlp/boot/$release

# patched FILE PATTERN: the file of the sample's target must have this text.
patched() {
	guest "cat /proc/livepatch_sample/$1"
	says "$2"
}

step="an installed patch is in effect before sysinit.target is reached"
new_disk
start_machine
booted
guest "rlp install -n /root/modules/$late.ko"
says '^  rlp-boot.service would be enabled$'
guest "rlp install /root/modules/$late.ko"
says "^$late: installed$"
enabled() {
	guest 'systemctl is-enabled rlp-boot.service && systemctl is-enabled rlp-boot-survived.timer'
}
enabled
reboot
booted
guest 'rlp status'
says "^$late"
says 'in effect since'
guest 'systemctl show -P ActiveEnterTimestampMonotonic rlp-boot.service sysinit.target | grep .'
read -ra at <<<"${reply//$'\n'/ }"
((at[0] > 0 && at[0] <= at[1])) ||
	fail "rlp-boot.service ended after ${at[0]} us, sysinit.target was reached after ${at[1]} us"
guest 'journalctl -b -o cat -u rlp-boot.service'
says "^$late: loaded$"
guest 'systemctl show -P StatusText rlp-boot.service'
says "^$late: loaded$"
guest 'systemctl disable rlp-boot.service'
status 2 'rlp status --nagios'
says 'rlp-boot.service is not enabled'
guest "rlp install /root/modules/$late.ko"
says "^$late: is installed already$"
enabled
guest 'systemctl disable rlp-boot-survived.timer'
status 2 'rlp status --nagios'
says 'rlp-boot-survived.timer is not enabled'
guest "rlp install /root/modules/$late.ko"
enabled
guest 'insmod /root/modules/livepatch_sample_target.ko'
patched greeting '^greetings from Rust$'
guest 'rlp status --nagios'
says '^LIVEPATCH OK'
pass "$step"

step="livepatch.off keeps patches from being loaded"
power_off
start_machine livepatch.off
booted
guest 'test ! -e /sys/module/rust_livepatch'
status 1 'rlp status --nagios'
guest 'rlp status'
says "livepatch.off is on the kernel's command line: nothing was loaded at boot"
guest 'insmod /root/modules/livepatch_sample_target.ko'
patched greeting '^greetings from the target$'
pass "$step"

step="a broken store does not fail the boot, and whole patches are loaded"
guest "rlp install /root/modules/{$cmdline,$pair}.ko"
guest "truncate -s 1000 $store/$late.ko"
guest "sed -i 's/vermagic=[0-9]/vermagic=0/' $store/$cmdline.ko"
power_off
start_machine
booted
guest 'journalctl -b -o cat -u rlp-boot.service'
says "^$pair: loaded$"
says "$late.ko"
says "$cmdline.ko"
status 2 'rlp status --nagios'
guest 'rlp status'
says "$late is installed for this kernel, and is not loaded"
says "$cmdline is installed for this kernel, and is not loaded"
status 6 'rlp doctor'
says "$late.ko"
says "$cmdline.ko"
guest 'insmod /root/modules/livepatch_sample_target.ko'
patched name ' bytes left$'
patched greeting '^greetings from the target$'
pass "$step"

step="a store without the loader does not fail the boot"
guest "mv /usr/lib/modules/$release/updates/rust_livepatch.ko /root/"
guest "rm -r /var/lib/rlp/history.jsonl; mkdir /var/lib/rlp/history.jsonl; echo junk >/var/lib/rlp/boot/quarantine"
reboot
booted
guest 'journalctl -b -o cat -u rlp-boot.service'
says 'the loader cannot be loaded'
status 2 'rlp status --nagios'
guest "mv /root/rust_livepatch.ko /usr/lib/modules/$release/updates/"
guest "rm -r /var/lib/rlp/history.jsonl /var/lib/rlp/boot/quarantine"
pass "$step"

step="an uninstalled patch is not loaded any more"
guest "rlp uninstall $late $cmdline $pair"
says "^$pair: uninstalled$"
reboot
booted
guest "test ! -e /sys/module/$pair"
status 1 'rlp status --nagios'
guest "ls -A $store"
[[ $reply == list ]] || fail "in the store: $reply"
pass "$step"

finish_test
