#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Events of the loader, as a system gets them: in udev, in the history that a rule of udev writes,
# in the kernel's audit records, and in the journal. Each kind of event is caused.

. "$(dirname "$0")/machine.sh"
fix=/root/modules/rust_livepatch_cmdline.ko name=rust_livepatch_cmdline
patch="--parameter=funcs=rlp_target:sleep_show /root/modules/rlp_patch_a.ko"

# The loader's events of each patch since the boot, in order. Each is EVENT/STATE.
declare -A caused=([$name]='' [rlp_patch_a]='')

# A program for awk, which reads the output of "udevadm monitor": print a line "PATCH EVENT/STATE"
# for each event.
monitor_script='
	/^$/ {
		if (patch != "" && us ~ /^[0-9]+$/)
			print patch, event "/" state
		patch = ""
	}
	$1 == "PATCH" { patch = $2 }
	$1 == "EVENT" { event = $2 }
	$1 == "STATE" { state = $2 }
	$1 == "US" { us = $2 }'

# events PATCH EVENT/STATE...: these are the next events of the patch. Both monitors of udev must
# have seen them, and all that were caused before.
events() {
	local source

	caused[$1]+="${caused[$1]:+ }${*:2}"
	for source in kernel udev; do
		await 30 "[ \"\$(awk -F= '$monitor_script' /run/monitor-$source | sed -n 's/^$1 //p' | xargs)\" = '${caused[$1]}' ] ||
			! { awk -F= '$monitor_script' /run/monitor-$source
				echo 'instead of ${caused[$1]}'; }"
	done
}

step="udev sees a patch that is enabled, confirmed and disabled"
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
events $name start/patching complete/probation confirm/enabled \
	start/unpatching complete/disabled leave/disabled
pass "$step"

step="udev sees a patch that nobody confirms"
guest "rlp load --probation 3 $fix"
await 60 "test ! -e /sys/kernel/rust_livepatch/$name"
guest "rlp unload $name"
events $name start/patching complete/probation expire/probation \
	start/unpatching complete/disabled leave/disabled
pass "$step"

step="udev sees a patch that is in effect again"
guest "rlp load $fix"
guest "rlp load --probation 300 --parameter=replace=Y $patch"
guest 'rlp unload rlp_patch_a'
events rlp_patch_a start/patching complete/probation \
	start/unpatching complete/disabled leave/disabled
events $name start/patching complete/enabled restore/enabled
guest "rlp unload $name"
events $name start/unpatching complete/disabled leave/disabled
pass "$step"

step="udev sees a transition that waits, and is reversed at its deadline"
blocker sleeper
status 5 "rlp load --deadline 12 --timeout 200 $patch"
events rlp_patch_a start/patching wait/patching deadline/patching reverse/unpatching \
	complete/disabled leave/disabled
pass "$step"

step="udev sees a transition that is reversed"
status 4 "rlp load --timeout 1 $patch"
guest 'rlp reverse rlp_patch_a'
await 60 'test ! -e /sys/kernel/rust_livepatch/rlp_patch_a'
guest 'rlp unload rlp_patch_a'
events rlp_patch_a start/patching reverse/unpatching complete/disabled leave/disabled
pass "$step"

# A forced patch stays until the next boot.
step="udev sees a transition that is forced"
status 4 "rlp load --timeout 1 $patch"
guest 'rlp force rlp_patch_a --yes-i-know'
events rlp_patch_a start/patching force/patching complete/enabled
pass "$step"

step="the rule of udev records each event in the history"
for patch in "${!caused[@]}"; do
	history="rlp history --json | jq -r '.records[] | select(.phase == \"event\" and .patch == \"$patch\") |
		.action + \"/\" + .result' | xargs"
	await 30 "[ \"\$($history)\" = '${caused[$patch]}' ] || ! { $history; echo 'instead of ${caused[$patch]}'; }"
done
pass "$step"

step="the audit log has each event"
guest 'journalctl -b -o cat --no-pager | grep -a "op=livepatch"'
for patch in "${!caused[@]}"; do
	[[ $(sed -nE "s/.*op=livepatch patch=\"$patch\" event=([a-z]+) state=([a-z]+) us=[0-9]+.*/\1\/\2/p" <<<"$reply" |
		xargs) == "${caused[$patch]}" ]] || fail "not '${caused[$patch]}' in: $reply"
done
for event in start reverse deadline force wait complete confirm expire restore leave; do
	[[ " ${caused[*]}" == *" $event/"* ]] || fail "the test has not caused the event $event"
done
pass "$step"

step="the journal has the loader's messages"
guest 'journalctl -b -k -o cat --no-pager | grep rust_livepatch'
says "'$name': .*patching"
says "patch 'rlp_patch_a': blocked by cat \([0-9]+\) inside sleep_show$"
pass "$step"

step="the journal has each record of rlp, as it is in the history"
await 20 'rlp history | grep -q "loader: the loader has removed it"'
await 20 'journalctl -b _UID=0 SYSLOG_IDENTIFIER=rlp -o json --all --no-pager --output-fields=RLP_RECORD | jq -r .RLP_RECORD >/run/records
	cmp /run/records /var/lib/rlp/history.jsonl'
guest 'journalctl -b _UID=0 SYSLOG_IDENTIFIER=rlp -o json --all --no-pager --output-fields=RLP_SHA256 | jq -r .RLP_SHA256 | tail -n 1'
sha256=$reply
guest 'tail -n 1 /var/lib/rlp/history.jsonl | sha256sum'
[[ $reply == "$sha256  -" ]] || fail "the journal has $sha256"
pass "$step"

step="the records are a chain, and name the machine as systemd-id128 does"
guest 'rlp verify --json | jq -r .whole,.host | xargs'
host=$reply
guest 'systemd-id128 machine-id --app-specific=f266a3615cef4c1abab805c51a549622'
[[ $host == "true $reply" ]] || fail "the host is '$host' and not '$reply'"
pass "$step"

finish_test
