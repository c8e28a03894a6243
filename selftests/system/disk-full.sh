#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The disk is full before a level is applied, while it is checked, when a check fails, when it is
# blocked, and when the machine boots. Each time, the kernel has the level before or the new one,
# rlp says what it could not do, and the next run goes on when there is room again.

. "$(dirname "$0")/machine.sh"
. "$(dirname "$0")/levels.sh"
full='No space left on device'
# Without room on the disk, systemd may have to start a service of the guest more than once.
expected='Failed to start'

# The guest's program "fill" takes each free block of the disk.
fill='#!/bin/sh
mkdir -p /filler
sync
number=0
for size in 256M 64M 16M 4M 1M 256K 64K 16K 4K; do
	while fallocate -l $size /filler/$number 2>/dev/null; do
		number=$((number + 1))
	done
	rm -f /filler/$number
done
sync'

# It also runs before the boot loads patches, if the folder /filler exists.
fill_at_boot='[Unit]
DefaultDependencies=no
After=systemd-remount-fs.service
Before=rlp-boot.service
ConditionPathExists=/filler
[Service]
Type=oneshot
ExecStart=/usr/local/bin/fill
[Install]
WantedBy=sysinit.target'

# is_full: no block is free.
is_full() {
	guest 'df --output=avail / | tail -n 1 | xargs'
	[[ $reply == 0 ]] || fail "$reply KB of the disk are free"
}

# make_room: remove what "fill" has written.
make_room() {
	guest 'rm -r /filler && sync'
}

step="level 1 is in effect, and level 2 is due"
new_disk
start_machine
booted
put_file /usr/local/bin/fill "$fill"
put_file /etc/systemd/system/fill.service "$fill_at_boot"
guest 'chmod +x /usr/local/bin/fill && systemctl enable fill'
# The journal would make room: it removes old files if the disk is full.
guest 'rm -r /var/log/journal && systemctl restart systemd-journald'
policy 10-test 'ring = "canary"' 'health.settle = 1'
install_level 1
applies_level 1
install_level 2
pass "$step"

step="the disk is full before a run: nothing is changed"
guest fill
is_full
status 1 'rlp level apply'
says "$full"
has_level 1
says '^decision: level 2 is due$'
guest 'test ! -e /sys/module/level2 && test ! -e /var/lib/rlp/level/intent'
guest 'rlp status --nagios'
pass "$step"

step="the disk is full: a record that is not written is no success, and the others are whole"
guest 'rlp verify --json | jq .head.seq'
before=$reply
written=0
# The last block of the history may have room for some records.
for ((attempt = 0; attempt < 20; attempt++)); do
	try 'rlp heartbeat' || break
	written=$((written + 1))
done
says "^error: /var/lib/rlp/history.jsonl: $full"
evidence_is_whole
guest 'rlp verify --json | jq .head.seq'
((reply == before + written)) || fail "$written records after $before, and the last one is $reply"
guest 'rlp history --json | jq -e ".damaged == 0"'
pass "$step"

step="there is room again: the level is applied"
make_room
applies_level 2
evidence_is_whole
back_to_level 1 2
pass "$step"

step="the disk gets full while the level is checked: it stays in effect, and is stored later"
check_health 20-fills 'test ! -e /run/fills || fill'
guest 'touch /run/fills'
status 1 'rlp level apply'
says "$full"
has_level 2
each_boot_loads 1
guest 'rm /run/fills'
make_room
guest 'rlp level apply'
has_level 2
says '^verified and stored: 1 2$'
each_boot_loads 2
evidence_is_whole
back_to_level 1 2
pass "$step"

step="the disk is full when a check fails: the level before is in effect again"
check_health 30-fails 'test ! -e /run/fills'
guest 'touch /run/fills'
status 5 'rlp level apply'
says '^taken back: level 2 was taken back$'
says '^  the check 30-fails has failed: exit status: 1$'
says '^level 1 is in effect$'
has_level 1
guest 'test ! -e /sys/module/level2'
is_full
# As long as the disk is full, nothing is applied.
try 'rlp level apply' || true
has_level 1
guest 'rm /run/fills'
make_room
guest 'rlp level apply'
says '^level 2 is blocked: it has failed on this machine'
has_level 1
guest 'rlp history --json | jq -e "[.records[] | select(.level == 2 and .action == \"quarantine\")] | length > 0"'
guest 'rlp level release --level 2'
applies_level 2
evidence_is_whole
pass "$step"

step="the disk is full when a level is blocked: the level does not stay"
policy 20-block 'blocked = [2]'
guest fill
is_full
try 'rlp level apply' || true
says '^level 2 is taken back: the policy of this machine blocks it$'
guest 'cat /proc/version'
says_not '^level 2$'
make_room
guest 'rlp level apply'
has_level 1
says '^verified and stored: 1 2$'
each_boot_loads 1
guest 'rm /etc/rlp/policy.d/20-block.toml'
applies_level 2
evidence_is_whole
pass "$step"

step="the disk is full when the machine boots: the boot succeeds, and says that nothing is loaded"
guest fill
reboot
booted
is_full
guest 'journalctl -b -o cat -u rlp-boot.service'
says '^no patch is loaded: the next boot could not detect a failure of this one$'
says "$full"
guest 'cat /proc/version'
says_not '^level'
status 2 'rlp status --nagios'
says 'level2 is installed for this kernel, and is not loaded'
guest 'rlp level status'
says '^no level is in effect$'
pass "$step"

step="there is room again: the next run applies the level that was in effect"
make_room
applies_level 2
guest 'rlp status --nagios'
evidence_is_whole
reboot
booted
has_level 2
pass "$step"

finish_test
