#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The publisher revokes a level that this machine has: the next level blocks it. The level before is
# in effect again, with its fixes, although the new level has no patch for this kernel, although the
# policy has a hold, and although the package of the level before is gone.

. "$(dirname "$0")/machine.sh"
. "$(dirname "$0")/levels.sh"

# revoked: level 1 is in effect, and its fix is there, and level 2 with its fix is not.
revoked() {
	has_level 1
	guest 'rlp info CVE-2026-0001'
	status 6 'rlp info CVE-2026-0002'
	each_boot_loads 1
}

step="level 2 has replaced level 1"
new_disk
start_machine
booted
policy 10-test 'ring = "canary"' 'health.settle = 1'
install_level 1
applies_level 1
install_level 2
applies_level 2
guest 'rlp info CVE-2026-0002'
pass "$step"

step="the publisher revokes level 2: level 1 is in effect again, and keeps the older fix"
guest "rlp level hold --until 2999-12-24 --reason 'incident 1'"
level_files 3
guest "sed -i 's/vermagic=$release/vermagic=9${release:1}/' /root/kernel/*.ko"
package_level 3 --block 2
guest 'rlp level apply --dry-run'
says '^level 2 is taken back: its publisher has revoked it$'
says '^  next: level 1 is applied instead$'
has_level 2
guest 'rlp level apply'
says '^level 2 is blocked, and is not loaded at boot any more$'
says '^level 2 was taken back, and level 1 is in effect$'
revoked
evidence_is_whole
guest "rlp history --json | jq -r '.records[] | select(.action == \"take-back\" and .level == 2) | .phase' | xargs"
[[ $reply == 'begin end' ]] || fail "the history has: $reply"
pass "$step"

step="a level that was revoked does not come back"
reboot
booted
revoked
guest 'rlp level release'
install_level 2
guest 'rlp level apply'
says '^level 2 is blocked: its publisher has revoked it$'
revoked
pass "$step"

finish_test
