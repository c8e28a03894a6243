#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What a system sees of the loader: udev, the history that a rule of udev writes, the kernel's audit
# records, and the journal.

. "$(dirname "$0")/machine.sh"
fix=/root/modules/rust_livepatch_cmdline.ko name=rust_livepatch_cmdline

# events: the monitor of udev must have seen these events of the patch, in this order. Each is
# EVENT/STATE.
events() {
	await 20 "[ \"\$(awk -F= '/^\$/ { if (patch == \"$name\" && us ~ /^[0-9]+\$/) print event \"/\" state; patch = \"\" }
		\$1 == \"PATCH\" { patch = \$2 } \$1 == \"EVENT\" { event = \$2 }
		\$1 == \"STATE\" { state = \$2 } \$1 == \"US\" { us = \$2 }' /run/monitor-$1 | xargs)\" = '$2' ] ||
		! cat /run/monitor-$1"
}

step="udev sees each event"
new_disk
start_machine audit=1
booted
guest 'for source in kernel udev; do
	systemd-run -q -p StandardOutput=file:/run/monitor-$source -u monitor-$source \
		stdbuf -oL udevadm monitor --$source --property --subsystem-match=rust_livepatch
done'
await 20 'grep -q "^KERNEL" /run/monitor-kernel && grep -q "^UDEV" /run/monitor-udev'
# Without a daemon that reads the audit records, the kernel prints them, but not too many at a time.
guest 'echo 0 >/proc/sys/kernel/printk_ratelimit'
guest "rlp load --probation 300 $fix"
guest "rlp confirm $name"
guest "rlp unload $name"
for source in kernel udev; do
	events $source 'start/patching complete/probation confirm/enabled start/unpatching complete/disabled leave/disabled'
done
pass "$step"

step="the rule of udev records each event in the history"
await 20 'rlp history | grep -q "loader: it has left"'
guest 'rlp history --json | jq -r ".records[] | select(.phase == \"event\") | .action + \"/\" + .result" | xargs'
[[ $reply == 'start/patching complete/probation confirm/enabled start/unpatching complete/disabled leave/disabled' ]] ||
	fail "the history has: $reply"
pass "$step"

step="the audit log has each event"
guest 'journalctl -b -o cat --no-pager | grep -a "op=livepatch"'
for event in start complete confirm leave; do
	says "op=livepatch patch=\"$name\" event=$event state=[a-z]+ us=[0-9]+"
done
pass "$step"

step="the journal has the loader's messages"
guest 'journalctl -b -k -o cat --no-pager | grep rust_livepatch'
says "'$name': .*patching"
pass "$step"

finish_test
