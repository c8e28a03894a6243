#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Each level has its own loader. A boot loads the loader of its level. If a level brings a loader
# that makes the machine panic, the boot after that loads the level before, with its loader. No
# package of the loader is installed.

. "$(dirname "$0")/machine.sh"
expected='a loader that panics|Call Trace|end Kernel panic|---\['

# install_level NUMBER LOADER: build the package of that level, with this loader, and install it.
install_level() {
	guest "rm -rf /root/kernel /root/level && mkdir -p /root/kernel /root/level &&
		cp /root/modules/level$1.ko /root/kernel/ &&
		cp $2 /root/kernel/rust_livepatch.ko &&
		cat /sys/kernel/notes >/root/kernel/notes &&
		rlp level build --level $1 --out /root/level /root/kernel &&
		dpkg -i /root/level/rlp-level_$1_*.deb"
}

# has_level NUMBER: the kernel runs the code of that level, and rlp says so.
has_level() {
	guest 'cat /proc/version'
	says "^level $1\$"
	guest 'rlp level status'
	says "^level $1 is in effect \\(level$1\\)\$"
}

has_panicked() {
	grep -q 'Kernel panic.*a loader that panics' "$console"
}

# panics_within SECONDS: wait until the loader has panicked.
panics_within() {
	local until=$((SECONDS + $1 * slow))

	until has_panicked; do
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
guest "mkdir -p /etc/rlp/policy.d"
guest "printf '%s\n' 'ring = \"canary\"' 'health.settle = 2' >/etc/rlp/policy.d/10-test.toml"
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
reboot
# The shell of the tests may run before the loader panics. Then that of the next boot is to come.
if ! has_panicked; then
	panics_within 120
	wait_shell
fi
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
guest 'rlp verify'
says ' is whole$'
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
