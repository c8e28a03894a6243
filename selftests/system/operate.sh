#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# From a machine without live patches to a patched machine, and back: the commands of
# Documentation/operating.rst, in their order.

. "$(dirname "$0")/machine.sh"

step="the machine boots, and the loader is installed"
new_disk
start=$SECONDS
start_machine
echo "# $((SECONDS - start)) s to the shell"
booted
echo "# $((SECONDS - start)) s to the end of the boot"
fix=/root/modules/rust_livepatch_cmdline.ko name=rust_livepatch_cmdline
guest 'test -s /usr/share/man/man8/rlp-load.8'
guest '. /usr/share/bash-completion/completions/rlp && complete -p rlp'
guest 'rlp check --kernel'
says "^ok +the loader is installed for $release_pattern, and is not loaded"
guest "rlp check $fix"
says "^ok +.*is a live patch for $release_pattern"
guest 'cat /proc/cmdline'
says '^console='
pass "$step"

step="a patch on probation is loaded and confirmed"
guest "rlp load --probation 600 $fix"
says "^$name: loaded$"
says 'in effect after [0-9]+ ms'
says "on probation: the loader takes it back in (600|59[0-9]) s, unless: rlp confirm $name"
guest 'cat /proc/cmdline'
says '^this has been live patched$'
guest "rlp confirm $name"
says "^$name: confirmed$"
guest "rlp load $fix"
says "is loaded already"
pass "$step"

step="status shows the patch"
guest 'rlp status'
says "^kernel $release_pattern$"
says "^$name"
says 'in effect since 20'
says '1 function in vmlinux'
guest 'rlp status --nagios'
says '^LIVEPATCH OK - 1 patch in effect'
guest 'rlp status --json | jq -r .patches[0].name'
says "^$name$"
guest "rlp info $name"
pass "$step"

step="a user that is not root sees what is in effect, and changes nothing"
as_user='setpriv --reuid 65534 --regid 65534 --clear-groups rlp'
guest "$as_user status"
says 'in effect since'
guest "$as_user status --nagios"
guest "$as_user info $name"
guest "$as_user history"
try "$as_user doctor" || true
says "^ok"
for change in "unload $name" "load $fix" "install $fix" "uninstall $name" reverse \
	"confirm $name"; do
	status 3 "$as_user $change"
	says 'only root may'
done
guest 'rlp status --nagios'
says '^LIVEPATCH OK'
pass "$step"

step="the patch is taken back"
guest "rlp unload $name"
says "^$name: unloaded$"
guest 'cat /proc/cmdline'
says '^console='
guest "rlp load --test 'grep -q patched /proc/cmdline' $fix"
says 'confirmed'
guest 'rlp unload --all'
status 5 "rlp load --test 'exit 1' $fix"
guest 'rmmod rust_livepatch'
status 1 'rlp status --nagios'
pass "$step"

step="the history has every action"
guest 'rlp history'
for action in load confirm unload; do
	says "$name  $action"
done
guest 'rlp history --json | jq -e ".damaged == 0 and (.records | length > 8)"'
pass "$step"

finish_test
