#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Live patches that were built from source patches load, take effect and unload. The last run of
# scripts/checks/test-livepatch.sh has built them.
# guest: built

set -e
. "$(dirname "$0")/../lib/patches.sh"
[[ -d $RLP_MODULES/source ]] || skip "scripts/checks/test-livepatch.sh has not been run"
load_loader
remember_state

RLP_MODULES+=/source
read_file /proc/cmdline
check_patch src_cmdline /proc/cmdline "live patched: $REPLY"
# The patch was built with --level and --cve, and its header has another CVE number.
load_patch src_cmdline
expect_file $RLP/src_cmdline/level 7
expect_file $RLP/src_cmdline/cves "CVE-2026-0001 CVE-2026-0002"
unload_patch src_cmdline
pass "level and cves of a source patch"

# effect PATCH FILE PATTERN: the content of the file must match the pattern while the patch is
# loaded, and must not match it afterwards.
effect() {
	load_patch "$1"
	read_file "$2"
	# shellcheck disable=SC2053 # a pattern
	[[ $REPLY == $3 ]] || fail "$2 reads '$REPLY' with $1, not '$3'"
	unload_patch "$1"
	read_file "$2"
	# shellcheck disable=SC2053 # a pattern
	[[ $REPLY != $3 ]] || fail "$2 reads '$REPLY' without $1"
	expect_unchanged
	pass "$1"
}

# A series of two source patches.
effect src_series /proc/cmdline "patched by a series: *"

# The patch changes two files. One of them defines a new function, with a global and a static
# variable, and both files call it. The other file also calls a function that it did not call
# before, and that is not exported.
effect src_multi /proc/version "mark 4[0-9] few Linux version *"
effect src_multi /proc/loadavg "mark 4[0-9] *"
# A function that shares its name with other functions of the kernel.
effect src_dup /proc/crypto "live patched*"
# The loader finds a table that has a second name. The function is only called if there is a TPM.
load_patch src_alias
expect_file $RLP/src_alias/vmlinux/patched 1
unload_patch src_alias
# Functions on the hottest path, with constants that the kernel writes into its text at boot.
effect src_hot /proc/version "lookups Linux version *"

# Clones of functions that the compiler has made, and functions with a cold part.
sigign=$(grep ^SigIgn /proc/self/status)
load_patch src_clones
[[ $(grep ^SigIgn /proc/self/status) == SigIgn:$'\t'8${sigign#*$'\t'?} ]] ||
	fail "constprop has no effect"
grep -qF '[patched stack]' /proc/self/maps || fail "part has no effect"
[[ $(busybox uptime) == *"load average: 42.00,"* ]] || fail "isra has no effect: $(busybox uptime)"
[[ $(</proc/filesystems) == patched* ]] || fail "the function with a cold part has no effect"
unload_patch src_clones
expect "$(grep ^SigIgn /proc/self/status)" "$sigign" status
grep -qF '[stack]' /proc/self/maps || fail "part still has an effect"
[[ $(busybox uptime) != *"load average: 42.00,"* && $(</proc/filesystems) != patched* ]] ||
	fail "src_clones still has an effect"
expect_unchanged
pass src_clones

# The patch changes a header: the link of each file descriptor in /proc then shows the file of the
# neighbouring descriptor.
exec 8</dev/null 9</proc/version
load_patch src_header
[[ $(readlink /proc/$$/fd/8) == /proc/version ]] || fail "the header has no effect"
unload_patch src_header
[[ $(readlink /proc/$$/fd/8) == /dev/null ]] || fail "the header still has an effect"
exec 8<&- 9<&-
expect_unchanged
pass src_header

# A system call.
umask 022
load_patch src_syscall
umask 002
[[ $(umask) == 0072 ]] || fail "umask is $(umask) with src_syscall"
unload_patch src_syscall
umask 022
[[ $(umask) == 0022 ]] || fail "umask is $(umask) without src_syscall"
expect_unchanged
pass src_syscall

# A shadow variable, and callbacks that are declared with the kernel's macros.
new_log
effect src_callback /proc/version "shadow [0-9]* Linux version *"
expect_log "source patch: pre_patch"
expect_log "source patch: post_unpatch"

# The module is loaded before its patch, and after it.
control=/proc/net/pktgen/pgctrl
load_module pktgen
read_file $control
before=$REPLY
load_patch src_module
expect_file $control "live patched"
unload_patch src_module
expect_file $control "$before"
unload_module pktgen
load_patch src_module
load_module pktgen
expect_file $control "live patched"
unload_patch src_module
expect_file $control "$before"
# The module calls a function that the patch adds to vmlinux.
load_patch src_export
expect_file $control "exported $before"
unload_patch src_export
expect_file $control "$before"
unload_module pktgen
expect_unchanged
pass "src_module, before and after its target, and src_export"

# load_all NAME...: load shipped modules. unload_all NAME...: unload them, in reverse order.
load_all() {
	local name

	for name in "$@"; do
		load_module "$name"
	done
}

unload_all() {
	while (($#)); do
		unload_module "${!#}"
		set -- "${@:1:$#-1}"
	done
}

# The tracepoint of the function is left out. With it, the kernel would crash: it would read the key
# of the tracepoint before the loader can find it.
load_all jbd2
load_patch src_trace
expect_file $RLP/src_trace/jbd2/patched 1
unload_patch src_trace
unload_all jbd2
expect_unchanged
pass src_trace

# The module has two functions with the same name, one for each version of the file system. The
# patch replaces both. With the patch, a file has at most 8 blocks.
le() { # BYTES NUMBER: print a little-endian number
	local i

	for ((i = 0; i < $1; i++)); do
		# shellcheck disable=SC2059 # the format is the byte
		printf "\\x$(printf %02x $(($2 >> 8 * i & 255)))"
	done
}

put() { # BLOCK: write to this block of the file system
	dd of=/tmp/minix bs=1024 seek="$1" conv=notrunc status=none
}

# make_minix VERSION: an empty file system of 200 blocks. The root folder is in block 5 in version
# 1, and in block 6 in version 2.
make_minix() {
	truncate -s 200K /tmp/minix
	{
		le 2 32 && le 2 $(($1 == 1 ? 200 : 0)) && le 2 1 && le 2 1 &&
			le 2 $(($1 == 1 ? 5 : 6))
		le 2 0 && le 4 100000 && le 2 $(($1 == 1 ? 0x137f : 0x2468)) && le 2 1 && le 4 200
	} | put 1
	le 1 3 | put 2
	le 1 3 | put 3
	if (($1 == 1)); then
		{ le 2 0x41ed && le 2 0 && le 4 32 && le 4 0 && le 1 0 && le 1 2 &&
			le 2 5; } | put 4
	else
		{ le 2 0x41ed && le 2 2 && le 4 0 && le 4 32 && le 12 0 && le 4 6; } | put 4
	fi
	{ le 2 1 && printf '.' && le 13 0 && le 2 1 && printf '..' &&
		le 12 0; } | put $(($1 == 1 ? 5 : 6))
}

write_file() { # write 20 blocks; the status is that of the write
	local rc=0

	head -c 20480 /dev/zero 2>/dev/null | dd of=/tmp/mnt/file bs=1024 status=none 2>/dev/null ||
		rc=$?
	rm /tmp/mnt/file
	return $rc
}

mkdir -p /tmp/mnt
load_all loop minix
for version in 1 2; do
	make_minix $version
	device=$(losetup -f --show /tmp/minix)
	mount -t minix "$device" /tmp/mnt || fail "minix $version cannot be mounted"
	write_file || fail "minix $version cannot be written"
	load_patch src_included
	! write_file || fail "src_included has no effect on minix $version"
	unload_patch src_included
	write_file || fail "src_included still has an effect on minix $version"
	umount /tmp/mnt
	losetup -d "$device"
	rm /tmp/minix
done
unload_all loop minix
expect_unchanged
pass src_included

# The patch is loaded before the modules that it patches, and before those that its code needs.
load_patch src_depends
load_all llc stp garp mrp 8021q dm_mod dm_bufio
read_file /proc/net/vlan/config
[[ $REPLY == "garp_unregister_application [garp] VLAN Dev name"* ]] ||
	fail "src_depends has no effect: $REPLY"
grep -q '^dm_bufio' /sys/kernel/tracing/enabled_functions || fail "dm_bufio is not hooked"
unload_patch src_depends
read_file /proc/net/vlan/config
[[ $REPLY == "VLAN Dev name"* ]] || fail "src_depends still has an effect: $REPLY"
unload_all llc stp garp mrp 8021q dm_mod dm_bufio
expect_unchanged
pass src_depends

# Ten changes in the shape of security fixes. The test observes the effect of each of them.
big_segment_is_refused() {
	local id

	id=$(ipcmk -M 100000000) || return 0
	ipcrm -m "${id##* }"
	return 1
}

idle_class_is_refused() {
	! setpriv --reuid 65534 --clear-groups ionice -c 3 true
}

key_users() {
	awk '$1 == "0:" { print $2 }' /proc/key-users
}

# seen YES-OR-NO COMMAND...: whether the command must succeed.
seen() {
	local answer=no

	! "${@:2}" 2>/dev/null || answer=yes
	expect "$answer" "$1" "${*:2}"
}

fixes() { # YES-OR-NO: are the fixes there?
	local calls="error 22 initialisation 0 race 0 width 0" length=0

	[[ $1 == no ]] || calls="error 34 initialisation 42 race 11 width 22"
	expect "$(source_fixes calls)" "$calls" "source_fixes"
	source_fixes length || length=$?
	seen "$1" test $length == 7
	seen "$1" big_segment_is_refused
	seen "$1" idle_class_is_refused
	seen "$1" grep -q '^held' /proc/net/dev
	seen "$1" grep -q '^2 ' /proc/misc
	# The function holds a reference while it prints the number of references.
	seen "$1" test "$(key_users)" == $((users + 1))
}

users=$(key_users)
fixes no
load_patch src_fixes
fixes yes
unload_patch src_fixes
fixes no
expect_unchanged
pass src_fixes
finish
