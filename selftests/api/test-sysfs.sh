#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# /sys/kernel/rust_livepatch: the mode and the value of each file. No file may show an address.
# timeout: 300

set -e
. "$(dirname "$0")/../lib/patches.sh"

load_loader
load_module rlp_target
remember_state
[[ -z $(ls -A $RLP) ]] || skip "there are patches on this machine"
here=$RLP/rlp_patch_a
before=$(date +%s.%6N)

load_patch rlp_patch_a \
	funcs=:cmdline_proc_show,rlp_target:one_show,rlp_target:twin_show@2,absent:any
expect "$(ls $RLP)" rlp_patch_a "$RLP"
pass "one entry for one patch"

expect "$(cd $here && find . -exec stat -c "%A %n" {} + | sort -k2)" "$(sort -k2 <<-END
	drwxr-xr-x .
	drwxr-xr-x ./absent
	drwxr-xr-x ./absent/any,1
	-r--r--r-- ./absent/any,1/mode
	-r--r--r-- ./absent/patched
	-r-------- ./blockers
	-rw-r--r-- ./confirmed
	-r--r--r-- ./cves
	-rw-r--r-- ./deadline
	-rw-r--r-- ./enabled
	--w------- ./force
	-r--r--r-- ./level
	-r--r--r-- ./probation
	-r--r--r-- ./progress
	-r--r--r-- ./replace
	drwxr-xr-x ./rlp_target
	drwxr-xr-x ./rlp_target/one_show,1
	-r--r--r-- ./rlp_target/one_show,1/mode
	-r--r--r-- ./rlp_target/patched
	drwxr-xr-x ./rlp_target/twin_show,2
	-r--r--r-- ./rlp_target/twin_show,2/mode
	-r--r--r-- ./stack_order
	-r--r--r-- ./transition
	-r--r--r-- ./transition_end
	-r--r--r-- ./transition_forced
	-r--r--r-- ./transition_us
	drwxr-xr-x ./vmlinux
	drwxr-xr-x ./vmlinux/cmdline_proc_show,1
	-r--r--r-- ./vmlinux/cmdline_proc_show,1/mode
	-r--r--r-- ./vmlinux/patched
END
)" "list of files and modes"
pass "files, directories and modes"

expect_file $here/enabled 1
expect_file $here/transition 0
expect_file $here/replace 0
expect_file $here/stack_order 1
expect_file $here/progress "0 0"
expect_file $here/blockers ""
expect_file $here/vmlinux/patched 1
expect_file $here/rlp_target/patched 1
expect_file $here/absent/patched 0
expect_file $here/absent/any,1/mode unhooked
took=$(cat $here/transition_us)
[[ $took =~ ^[1-9][0-9]*$ ]] || fail "transition_us reads '$took'"
ended=$(cat $here/transition_end)
printf '%s\n' "$before" "$ended" "$(date +%s.%6N)" | sort -C || fail "transition_end reads '$ended'"
[[ $ended =~ ^[0-9]+\.[0-9]{6}$ ]] || fail "transition_end reads '$ended'"
expect_file $here/transition_forced 0
for ((i = 0; i < 100; i++)); do
	mode=$(cat $here/vmlinux/cmdline_proc_show,1/mode)
	[[ $mode =~ ^(jump|handler\ (settling|unsupported|taken|off))$ ]] ||
		fail "mode reads '$mode'"
	[[ $mode == "handler settling" ]] || break
	sleep 0.1
done
pass "values of a patch without a transition (mode: $mode)"

# Not even root can write a read-only file. (For other users see test-no-way-in.sh.)
files() {
	find "$RLP" -type f "$@"
}
for file in $(files ! -perm -200); do
	! write 1 "$file" 2>/dev/null || fail "$file can be written"
done
pass "read-only files cannot be written"

# During a transition, with a blocker.
unload_patch rlp_patch_a
fall_asleep
load_module rlp_patch_a replace=Y funcs=rlp_target:sleep_show,rlp_target:one_show
wait_until "[[ \$(wc -l <$here/blockers) == 2 ]]" || fail "blockers: $(cat $here/blockers)"
expect_file $here/enabled 1
expect_file $here/transition 1
expect_file $here/confirmed 1
expect_file $here/probation 0
expect_file $here/replace 1
expect_file $here/transition_end 0.000000
expect_file $here/transition_us 0
expect_file $here/blockers "tasks 1 inside sleep_show"$'\n'"$(pgrep -x cat) cat inside sleep_show"
# In-tree livepatch has no transition.
state=/proc/$(pgrep -x cat)/patch_state
[[ ! -e $state ]] || expect_file "$state" -1
read -r switched total <$here/progress
((switched + 1 == total)) || fail "progress reads '$switched $total'"
pass "values of a patch in transition"

no_pointers sysfs "$(files -perm -400 -exec cat {} +)"

echo 0 >$here/enabled
wait_gone rlp_patch_a
wake_up
unload_module rlp_patch_a
pass "after a reversal the patch is removed although its blocker still sleeps"

# A file has room for one page of text, which is too small for the lines of these 60 tasks. Each
# character of their names is escaped, so that fewer tasks are enough.
names=$(mktemp -d)
escaped=$names/$(printf '\001%.0s' {1..15})
ln -s "$(command -v cat)" "$escaped"
echo N >$PARAMETERS/awake
for ((i = 0; i < 60; i++)); do
	"$escaped" $TARGET/sleep >/dev/null &
done
wait_until "read_file $PARAMETERS/sleepers; [[ \$REPLY == 60 ]]" 60 ||
	fail "only $REPLY tasks sleep"
load_module rlp_patch_a funcs=rlp_target:sleep_show
wait_until "read_file $here/blockers; [[ \$REPLY == 'tasks 60 inside sleep_show'* ]]" 60 ||
	fail "blockers: $(cat $here/blockers)"
[[ $REPLY == *$'\n'... ]] || fail "60 tasks fit: $REPLY"
expect "$(grep -c '^tasks ' $here/blockers)" 1 "number of counts"
wake_up
rm -r "$names"
wait_settled rlp_patch_a
unload_patch rlp_patch_a
pass "blockers counts all tasks, and lists as many as there is room for"

load_patch rlp_patch_a funcs=rlp_target:two_show
load_patch rlp_patch_b funcs=rlp_target:two_show
load_patch rlp_patch_c funcs=rlp_target:two_show
expect "$(ls $RLP | wc -l)" 3 "number of entries"
no_pointers sysfs "$(files -perm -400 -exec cat {} +)"
pass "an entry for each patch, and no address in any"
unload_patch rlp_patch_b
expect "$(ls $RLP | wc -l)" 2 "number of entries"

# A read through a file that was opened before the patch was removed returns an error.
exec {fd}<$here/enabled
unload_patch rlp_patch_a
! read -r -u $fd value 2>/dev/null || fail "a file of a removed patch reads '$value'"
exec {fd}<&-
unload_patch rlp_patch_c
expect_unchanged
pass "a file of a removed patch"
finish
