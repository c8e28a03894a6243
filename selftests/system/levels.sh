# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # machine.sh sets the variables
#
# Levels in a guest, for the tests of "make check-system". Sourced by them after machine.sh.

# install_level NUMBER [LOADER]: build the package of that level from its patch and the installed
# loader, or this one, and install it.
install_level() {
	level_files "$@"
	package_level "$1"
}

# level_files NUMBER [LOADER]: put the files from which a level is built into /root/kernel.
level_files() {
	guest "rm -rf /root/kernel /root/level && mkdir -p /root/kernel /root/level &&
		cp /root/modules/level$1.ko /root/kernel/ &&
		cp ${2:-/usr/lib/modules/$release/updates/rust_livepatch.ko} \\
			/root/kernel/rust_livepatch.ko &&
		cat /sys/kernel/notes >/root/kernel/notes"
}

# package_level NUMBER [OPTION...]: build the package of a level from /root/kernel, with these
# options of rlp level build, and install it.
package_level() {
	guest "rlp level build --level $1 ${*:2} --out /root/level /root/kernel &&
		dpkg -i /root/level/rlp-level_$1_*.deb"
}

# policy FILE LINE...: write a file of the policy.
policy() {
	put_file "/etc/rlp/policy.d/$1.toml" "${@:2}"
}

# check_health NAME COMMAND: let each run execute a command as a check of a level.
check_health() {
	put_file "/etc/rlp/health.d/$1" '#!/bin/sh' "$2"
	guest "chmod +x /etc/rlp/health.d/$1"
}

# has_level NUMBER: the kernel runs the code of that level, and rlp says so.
has_level() {
	guest 'cat /proc/version'
	says "^level $1\$"
	guest 'rlp level status'
	says "^level $1 is in effect \\(level$1\\)\$"
}

# applies_level NUMBER: the level of the package is applied and confirmed.
applies_level() {
	guest 'rlp level apply'
	says "^level $1: level$1 is in effect and confirmed, and is loaded at each boot\$"
	has_level "$1"
}

# back_to_level NUMBER BLOCKED: a level is blocked until the one before is in effect.
back_to_level() {
	policy 20-block "blocked = [$2]"
	guest 'rlp level apply'
	says "^level $2 was taken back, and level $1 is in effect\$"
	guest 'rm /etc/rlp/policy.d/20-block.toml'
	has_level "$1"
}

# each_boot_loads NUMBER: each boot of this kernel loads the patch of that level, and nothing else.
each_boot_loads() {
	guest "cat /var/lib/rlp/boot/$release/list"
	[[ $reply == "level$1" ]] || fail "each boot loads: $reply"
}

# evidence_is_whole: the chain of the records is whole.
evidence_is_whole() {
	guest 'rlp verify'
	says ' is whole$'
}
