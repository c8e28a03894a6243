#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The loader must give an unprivileged user no rights. Owner, mode and capabilities deny access to
# its files. The files and the log show no address. A name that is too long is not logged, and no
# name forges a line of the log. (test-sysfs.sh checks the list of a patch's files and their modes;
# test-unsigned.sh checks patches without a signature.)
# timeout: 300

set -e
. "$(dirname "$0")/../lib/patches.sh"

loader_parameters=/sys/module/rust_livepatch/parameters
here=$RLP/rlp_patch_a

# Three identities with fewer rights than root: an ordinary user, root of a user namespace of
# that user, and the owner of the files without any capability.
as_user() {
	setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}

as_root_of_namespace() {
	as_user unshare --user --map-root-user "$@"
}

as_owner() {
	setpriv --bounding-set=-all --inh-caps=-all "$@"
}

# expect_identity WHO UID CAPABILITIES: the identity must be the intended one. Otherwise this
# test could pass for the wrong reason.
expect_identity() {
	expect "$("$1" id -u)" "$2" "uid of $1"
	expect "$("$1" sed -n 's/^CapEff:\t0*//p' /proc/self/status)" "$3" "capabilities of $1"
}

# refused WHO COMMAND...: the command must fail because of the file's mode, and not because the
# file is missing.
refused() {
	local who=$1
	shift

	expect_fail EACCES "$who" "$@"
}

can_read() {
	"$1" cat "$2" >/dev/null || fail "$1 cannot read $2"
}

cannot_read() {
	refused "$1" cat "$2"
}

cannot_write() {
	refused "$1" sh -c "echo 1 >'$2'"
}

cannot_load() {
	expect_fail EPERM "$1" insmod "$(module_file rlp_patch_b)" funcs=rlp_target:two_show
	! is_loaded rlp_patch_b || fail "$1 has loaded a patch"
}

files() {
	find $RLP $loader_parameters -type f "$@"
}

longest_line() {
	awk '{ if (length > longest) longest = length } END { print longest + 0 }'
}

module_parameters() {
	stat -c '%A %u:%g %n' $loader_parameters/*
}

new_log
whole_log=$log_mark
start_loader debug=Y
load_module rlp_target
remember_state
load_patch rlp_patch_a funcs=:cmdline_proc_show,rlp_target:one_show,absent:any

expect_identity as_user 65534 ""
expect_identity as_root_of_namespace 0 \
	"$(sed 's/^0*//' < <(printf '%x' $(((1 << ($(</proc/sys/kernel/cap_last_cap) + 1)) - 1))))"
expect_identity as_owner 0 ""

expect "$(module_parameters)" "$(cat <<-END
	-rw-r--r-- 0:0 $loader_parameters/deadline
	-rw-r--r-- 0:0 $loader_parameters/debug
	-rw-r--r-- 0:0 $loader_parameters/probation
	-rw-r--r-- 0:0 $loader_parameters/promote
	-r--r--r-- 0:0 $loader_parameters/require_signed
	$(! has_gate || echo "-r--r--r-- 0:0 $loader_parameters/without")
END
)" "the loader's parameters"
strange=$(find $RLP $loader_parameters \( ! -uid 0 -o ! -gid 0 -o -perm /022 \))
[[ -z $strange ]] || fail "owned or writable by others than root: $strange"
pass "all files are owned by root, and only root may write them"

for who in as_user as_root_of_namespace; do
	for file in $(files ! -perm -444); do
		cannot_read $who "$file"
	done
	for file in $(files -perm -444); do
		can_read $who "$file"
	done
	for file in $(files); do
		cannot_write $who "$file"
	done
	cannot_load $who
done
expect_file $here/enabled 1
pass "an ordinary user and root of a user namespace may only read files that all may read"

# If the kernel has network namespaces, root of a user namespace can mount sysfs in a network
# namespace of its own. The files in that mount have the same owner and modes.
network=--net
[[ -e /proc/self/ns/net ]] || network=
fresh=$(mktemp -d)
chmod 755 "$fresh"
output=$(as_root_of_namespace --mount $network sh -c "
	mount -t sysfs sysfs '$fresh' || exit 4
	cd '$fresh/kernel/rust_livepatch/rlp_patch_a'
	cat blockers; echo 0 >enabled; echo 1 >force
	cat enabled" 2>&1) && status=0 || status=$?
rmdir "$fresh"
expect_file $here/enabled 1
if [[ $network ]]; then
	[[ $status == 0 && $output == *$'\n1' ]] || fail "in a new mount of sysfs: $output"
	expect "$(grep -c "ermission denied" <<<"$output")" 3 "refusals in a new mount of sysfs"
	pass "a mount of its own gives root of a user namespace no more rights"
else
	[[ $status == 4 && $output == *"ermission denied"* ]] || fail "sysfs was mounted: $output"
	pass "root of a user namespace cannot mount sysfs"
fi

# Only the owner and the mode protect a file, and uid 0 of the initial user namespace is the
# owner even without capabilities. Loading a module needs a capability.
can_read as_owner $here/blockers
cannot_read as_owner $here/force
for file in $(files ! -perm -200); do
	cannot_write as_owner "$file"
done
cannot_load as_owner
expect_fail EINVAL as_owner sh -c "echo 1 >$here/force" # there is no transition
for parameter in debug promote; do
	as_owner sh -c "echo Y >$loader_parameters/$parameter" ||
		fail "the owner cannot write $parameter"
done
as_owner sh -c "echo 0 >$here/enabled" || fail "the owner cannot write"
wait_gone rlp_patch_a
unload_module rlp_patch_a
pass "uid 0 without capabilities has the rights of the owner, and no others"

if [[ -e $(module_file rlp_intree) && -e /sys/kernel/livepatch ]]; then
	intree=/sys/kernel/livepatch/rlp_intree
	load_module rlp_intree funcs=rlp_target:one_show
	wait_until "[[ \$(<$intree/transition) == 0 ]]" 30 || fail "rlp_intree does not settle"
	cannot_read as_owner $intree/force
	as_owner sh -c "echo 0 >$intree/enabled" || fail "the owner of in-tree's files cannot write"
	wait_until "[[ ! -e $intree ]]" 30 || fail "rlp_intree keeps its directory"
	unload_module rlp_intree
	pass "in-tree livepatch requires the same rights"
else
	untested "the rights that in-tree livepatch requires"
fi

# The kernel's log, with debug lines, errors and many names.
expect_load_fail ENOMEM rlp_patch_full taken=Y
expect_log 'Duplicate shadow variable <[0-9a-f]{16}, 0>'
load_patch rlp_patch_full
load_module livepatch_sample_target
no_pointers "sysfs" "$(files -perm -400 -exec cat {} +)"
unload_module livepatch_sample_target
unload_patch rlp_patch_full
pass "a shadow variable's address is hashed"

# name_too_long PATTERN FUNCS: the patch must be refused, and the log must not have the name.
name_too_long() {
	expect_refused EINVAL "$1" rlp_patch_a "funcs=$2"
	! log_has "$(long_name 100)" || fail "the name is in the log"
	(($(log | longest_line) < 200)) || fail "a line of $(log | longest_line) characters"
}

name_too_long "a function whose name is empty or too long" "rlp_target:f$(long_name 999)"
name_too_long "an object's name is too long" "m$(long_name 999):one_show"
name_too_long "a function whose name is empty or too long" "rlp_target:f$(long_name 511)"
name_too_long "an object's name is too long" "m$(long_name 55):one_show"
# The longest valid names.
load_module rlp_patch_a "funcs=m$(long_name 54):f$(long_name 510)"
wait_settled rlp_patch_a
unload_patch rlp_patch_a
expect_refused EINVAL "symbol 'f$(long_name 510)' not found" rlp_patch_a "funcs=:f$(long_name 510)"
(($(log | longest_line) < 700)) || fail "a line of $(log | longest_line) characters"
pass "names that are too long are not logged"

expect_refused EINVAL 'symbol .a.x0arust_livepatch: forged.x1b. not found' \
	rlp_patch_a "funcs=\":a"$'\n'"rust_livepatch: forged"$'\e'"\""
! log | grep -qE '(^|\] )rust_livepatch: forged' || fail "a name forges a line of the log"
pass "characters that cannot be printed are escaped"

# Any task may choose its name, and sleep in a patched function.
names=$(mktemp -d)
forge=$names/$'a\n1 init'
ln -s "$(command -v cat)" "$forge"
fall_asleep "$forge"
forger=$!
load_module rlp_patch_a funcs=rlp_target:sleep_show
wait_until "[[ \$(wc -l <$here/blockers) == 2 ]]" || fail "blockers: $(cat $here/blockers)"
expect_file $here/blockers "tasks 1 inside sleep_show"$'\n'"$forger a\\n1 init inside sleep_show"
wake_up
rm -r "$names"
wait_settled rlp_patch_a
unload_patch rlp_patch_a
pass "the name of a task does not forge a line of blockers"

stop_loader
log_mark=$whole_log
[[ $(pointer_in "$(grep -m 1 ' one_show' /proc/kallsyms)") ]] ||
	fail "pointer_in does not find an address"
ours=$(log | grep -E 'rust_livepatch: ')
(($(wc -l <<<"$ours") > 30)) || fail "only $(wc -l <<<"$ours") lines of the loader in the log"
no_pointers "log" "$ours"
pass "no address in the loader's $(wc -l <<<"$ours") lines of the log"
finish
