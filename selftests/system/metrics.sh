#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The metrics for Prometheus on a whole system: rlp-metrics.service writes what the loader says, and
# the timer runs it. The facts for Ansible are JSON.

. "$(dirname "$0")/machine.sh"
fix=/root/modules/rust_livepatch_cmdline.ko name=rust_livepatch_cmdline
folder=/var/lib/prometheus/node-exporter

# metrics: let the unit write the metrics, and read them.
metrics() {
	guest "systemctl start rlp-metrics.service && cat $folder/rlp.prom"
}

step="without the folder of node_exporter, the unit does nothing"
new_disk
start_machine
booted
guest 'systemctl start rlp-metrics.service'
guest "test ! -e $folder"
pass "$step"

step="the metrics say what the loader says"
guest "mkdir -p $folder"
metrics
says '^rlp_loader_loaded 0$'
says '^rlp_patches\{state="in-effect"\} 0$'
says '^rlp_verdict 1$'
guest "rlp load --probation 600 $fix"
metrics
says '^rlp_loader_loaded 1$'
says '^rlp_patches\{state="in-effect"\} 0$'
says '^rlp_patches\{state="probation"\} 1$'
says '^rlp_verdict 1$'
guest "rlp confirm $name"
metrics
says '^rlp_patches\{state="in-effect"\} 1$'
says '^rlp_patches\{state="probation"\} 0$'
says '^rlp_verdict 0$'
pass "$step"

step="a transition that waits is in the metrics"
blocker sleeper
status 4 "rlp load --timeout 2 --parameter=funcs=rlp_target:sleep_show /root/modules/rlp_patch_a.ko"
metrics
says '^rlp_patches\{state="enabling"\} 1$'
says '^rlp_transition_tasks [1-9][0-9]*$'
guest 'rlp reverse'
guest 'systemctl stop sleeper'
pass "$step"

step="the head of the evidence is that of the file"
guest 'rlp heartbeat'
metrics
says '^rlp_heartbeat_time_seconds [0-9]+$'
guest "tail -n 1 /var/lib/rlp/history.jsonl | sha256sum | cut -d' ' -f1"
hash=$reply
guest "cat $folder/rlp.prom"
says "^rlp_evidence_head\{seq=\"[0-9]+\",sha256=\"$hash\"\} 1$"
pass "$step"

step="a timer that is stopped or masked does not count as running"
metrics
says '^rlp_unit_enabled\{unit="rlp-heartbeat.timer"\} 0$'
guest 'systemctl enable rlp-heartbeat.timer'
metrics
says '^rlp_unit_enabled\{unit="rlp-heartbeat.timer"\} 0$'
guest 'rlp doctor || true'
says '^note +rlp-heartbeat.timer is stopped: days without a change have no record$'
guest 'systemctl start rlp-heartbeat.timer'
metrics
says '^rlp_unit_enabled\{unit="rlp-heartbeat.timer"\} 1$'
guest 'systemctl mask --runtime rlp-heartbeat.timer'
metrics
says '^rlp_unit_enabled\{unit="rlp-heartbeat.timer"\} 0$'
guest 'rlp doctor || true'
says '^note +rlp-heartbeat.timer is masked: days without a change have no record$'
guest 'systemctl unmask --runtime rlp-heartbeat.timer && systemctl disable --now rlp-heartbeat.timer'
pass "$step"

step="the timer writes the metrics"
guest "rm $folder/rlp.prom"
# The timer would wait for up to 10 minutes. If the clock is set, systemd looks for the next time
# after it. So the clock is set to two seconds before that time, and the random delay is left out.
put_file /run/systemd/system/rlp-metrics.timer.d/test.conf \
	'[Timer]' 'RandomizedDelaySec=0' 'AccuracySec=1s'
guest 'systemctl daemon-reload && systemctl start rlp-metrics.timer'
guest 'systemctl list-timers --no-legend rlp-metrics.timer'
says 'rlp-metrics\.service'
guest 'date -s "@$((($(date +%s) / 300 + 1) * 300 - 2))"'
await 60 "test -s $folder/rlp.prom"
pass "$step"

step="the facts for Ansible are objects of rlp"
guest '/usr/share/rlp/rlp.fact | jq -r ".status.command, .level.command, .status.verdict"'
says '^status$'
says '^level status$'
says '^ok$'
pass "$step"

step="the unit does not fail if the metrics cannot be written"
guest "rm -r $folder/rlp.prom; mkdir $folder/rlp.prom"
guest 'systemctl start rlp-metrics.service'
guest '! systemctl is-failed rlp-metrics.service'
guest 'journalctl -u rlp-metrics.service'
says "error: $folder/rlp.prom: "
pass "$step"

finish_test
