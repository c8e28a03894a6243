#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# QEMU is killed at random times while rlp writes its store and its history: each boot afterwards
# succeeds, and the store is an old or a new one. N=n: n power cuts. FUZZ_SEED=n repeats
# the times, as far as the host's speed allows.

. "$(dirname "$0")/machine.sh"
late=rust_livepatch_late pair=rust_livepatch_pair
store=/var/lib/rlp/boot/$release
RANDOM=${FUZZ_SEED:=$((EPOCHSECONDS % 32768))}
echo "# replay: make check-system T=power-cut FUZZ_SEED=$FUZZ_SEED"

# whole_store: each line of the list must have a module that is whole.
whole_store() {
	guest "for name in \$(cat $store/list); do
		cmp $store/\$name.ko /root/modules/\$name.ko || exit
	done"
	guest "test \$(sort $store/list | uniq -d | wc -l) = 0"
	# The first patch was installed before the first cut, and nothing uninstalls it.
	guest "grep -qx $pair $store/list"
}

step="the machine has an installed patch"
new_disk
start_machine
booted
guest "rlp install /root/modules/$pair.ko"
power_cut
new_layer
start_machine
booted
whole_store
# Record that this boot has survived its patches. Otherwise rlp would not load them at the next
# boot, because this boot ends with a power cut.
guest 'rlp boot --survived && sync'
pass "$step"

for ((cut = 1; cut <= ${N:-4}; cut++)); do
	ms=$((RANDOM % 4000))
	step="power cut $cut, after $ms ms of writes: the boot succeeds, and the store is whole"
	guest 'wc -l </var/lib/rlp/history.jsonl'
	lines=$reply
	guest "rlp verify --json | jq -r '\"\\(.head.seq):\\(.head.sha256)\"'"
	head=$reply
	send "while :; do rlp install /root/modules/$late.ko; rlp uninstall $late; done"
	sleep "$((ms / 1000)).$(printf %03d $((ms % 1000)))"
	power_cut
	new_layer
	start_machine
	booted
	whole_store
	guest 'rlp history --json | jq ".damaged, (.records | length)" | xargs'
	read -r damaged records <<<"$reply"
	# A torn line is not taken for tampering, and no acknowledged record is lost.
	guest "rlp verify --head $head"
	says ' is whole'
	((damaged <= cut && records >= lines)) ||
		fail "$damaged lines are damaged, $records of at least $lines are left"
	guest "rlp status"
	says "^$pair"
	guest 'rlp boot --survived && sync'
	echo "# $records records, $damaged damaged lines"
	pass "$step"
done

finish_test
