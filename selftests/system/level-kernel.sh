#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A level and the kernel that it is for. A new kernel is installed before its patch exists. A level
# is for another build of a kernel with the same release. A module that a level changes is loaded
# after the level.

. "$(dirname "$0")/machine.sh"
. "$(dirname "$0")/levels.sh"
# The release of another kernel, which is as long as that of the running one, and its pattern.
other=9${release:1} other_pattern=9${release_pattern:1}

# stays DECISION: the level of the package is not applied, and level 1 stays in effect.
stays() {
	guest 'rlp level apply'
	says "$1"
	has_level 1
	says "$1"
	guest 'test -e /sys/kernel/rust_livepatch/level1'
	each_boot_loads 1
}

step="a new kernel is installed before its patch exists: the package manager says so"
new_disk
start_machine
booted
policy 10-test 'ring = "canary"' 'health.settle = 1'
install_level 1
applies_level 1
# As Debian's packages of kernels do.
guest "mkdir -p /root/linux/DEBIAN &&
	printf '%s\n' 'Package: linux-image-$other' 'Version: 1' 'Architecture: amd64' \\
		'Maintainer: nobody <nobody@localhost>' 'Description: a new kernel' \\
		>/root/linux/DEBIAN/control &&
	printf '%s\n' '#!/bin/sh -e' \\
		'run-parts --report --exit-on-error --arg=$other --arg=/boot/vmlinuz-$other /etc/kernel/postinst.d' \\
		>/root/linux/DEBIAN/postinst && chmod 755 /root/linux/DEBIAN/postinst &&
	dpkg-deb -b /root/linux /root/linux.deb && dpkg -i /root/linux.deb"
says "^level 1 does not cover $other_pattern: it has no patch for $other_pattern\$"
says "after a boot into $other_pattern, level 1 is not applied"
has_level 1
pass "$step"

step="a level without a patch for this kernel is not applied"
level_files 2
guest "sed -i 's/vermagic=$release/vermagic=$other/' /root/kernel/*.ko &&
	grep -c 'vermagic=$other' /root/kernel/level2.ko"
package_level 2
stays "level 2 does not cover this kernel: it has no patch for $release_pattern\$"
guest "rlp level covers $other"
status 6 "rlp level covers $release"
reboot
booted
has_level 1
pass "$step"

step="a level for another build of the same release is not applied"
level_files 3
# The note of the build id has the type 3 and the name "GNU".
guest "perl -0777 -i -pe 's/(\\x03\\0\\0\\0GNU\\0)(.)/\$1 . chr(255 ^ ord \$2)/se' /root/kernel/notes &&
	! cmp -s /root/kernel/notes /sys/kernel/notes"
package_level 3
stays "level 3 does not cover this kernel: its patch is for another build of $release_pattern, with the build id [0-9a-f]+\$"
pass "$step"

step="a module that is loaded after the level has the fix from its first instruction"
install_level 4
applies_level 4
guest 'rlp info CVE-2026-0004'
says 'rlp_target is patched when it loads'
guest 'rlp info level4'
says '^ +rlp_target +not loaded$'
guest 'insmod /root/modules/rlp_target.ko'
guest 'timeout 10 cat /proc/rlp_target/sleep'
says '^level 4$'
guest 'rlp info CVE-2026-0004'
says '^CVE-2026-0004: fixed$'
says_not 'when it loads'
guest 'rlp info level4'
says '^ +rlp_target +patched$'
guest 'rmmod rlp_target'
pass "$step"

step="a module that the level does not fit is not loaded: it would run without the fix"
# The module has no function that the patch replaces.
guest "sed 's/sleep_show/sleep_shut/g' /root/modules/rlp_target.ko >/root/other.ko"
! try 'insmod /root/other.ko' || fail "the module is loaded without the fix"
guest 'test ! -e /sys/module/rlp_target && test ! -e /proc/rlp_target'
guest 'rlp doctor || true'
says "symbol 'sleep_show' not found"
has_level 4
guest 'insmod /root/modules/rlp_target.ko && timeout 10 cat /proc/rlp_target/sleep'
says '^level 4$'
evidence_is_whole
pass "$step"

finish_test
