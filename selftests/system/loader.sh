#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Each level has its own loader. A boot loads the loader of its level. If a level brings a loader
# that makes the machine panic, the boot after that loads the level before, with its loader. No
# package of the loader is installed.

. "$(dirname "$0")/machine.sh"
. "$(dirname "$0")/levels.sh"
expected='a loader that panics|Call Trace|end Kernel panic|---\['

# panics_within SECONDS: wait until the loader has panicked.
panics_within() {
	local until=$((SECONDS + $1 * slow))

	until grep -q 'Kernel panic.*a loader that panics' "$console"; do
		((SECONDS < until)) || fail "the loader did not panic"
		sleep 0.2
	done
}

step="a boot loads the loader of the level"
new_disk
start_machine
booted
guest "mv /usr/lib/modules/$release/updates/rust_livepatch.ko /root/good.ko && depmod"
guest "sed s/dead_livepatch/rust_livepatch/g /root/modules/dead_livepatch.ko >/root/dead.ko"
policy 10-test 'ring = "canary"' 'health.settle = 2'
install_level 1 /root/good.ko
guest 'rlp level apply'
says '^level 1: level1 is in effect and confirmed'
says_not 'another loader'
has_level 1
reboot
booted
has_level 1
guest "cmp /root/good.ko /var/lib/rlp/level/1/$release/rust_livepatch.ko"
guest 'rlp boot --survived && rlp level apply'
pass "$step"

step="a loader that panics is not loaded a second time"
install_level 2 /root/dead.ko
guest 'rlp level apply'
says '^level 2: another loader is loaded, and that of the level is loaded at the next boot$'
says '^level 2: level2 is in effect and confirmed'
has_level 2
send 'systemctl reboot'
panics_within 120
# The shell of the tests may have run before the loader panicked.
forget_lines
wait_shell
booted
guest 'journalctl -b -o cat -u rlp-boot.service'
says '^level2: the machine failed after the last boot with it, so it is not loaded any more$'
says '^level 1 was verified before, and is loaded in the place of the one that has failed$'
has_level 1
guest 'rlp boot --survived && rlp level apply'
says '^level 2 is quarantined: the machine failed after a boot with it$'
says '^level 1 is loaded at each boot from now on$'
reboot
booted
has_level 1
[[ $(grep -c 'Kernel panic' "$console") == 1 ]] || fail "the machine has panicked again"
evidence_is_whole
pass "$step"

step="a loader that is damaged is not loaded, and the same boot loads the level before"
guest 'rlp boot --survived'
install_level 3 /root/good.ko
guest 'rlp level apply'
says '^level 3: level3 is in effect and confirmed'
guest "truncate -s -1 /var/lib/rlp/level/3/$release/rust_livepatch.ko && sync"
reboot
booted
guest 'journalctl -b -o cat -u rlp-boot.service'
says '/rust_livepatch.ko is not the file of the level$'
says '^level 1 was verified before, and is loaded in the place of the one that has failed$'
has_level 1
pass "$step"

finish_test
