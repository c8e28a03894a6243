#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The files of a patch are read and written while the patch is enabled and disabled, and while
# its module is unloaded. A read that succeeds returns a value that the file can have.
# timeout: 300

set -e
. "$(dirname "$0")/../lib/patches.sh"
load_loader
load_module rlp_target
remember_state
stop=$(mktemp) answers=$(mktemp) wrong=$(mktemp)
here=$RLP/rlp_patch_a
loaded+=(rlp_patch_a)

# is_right FILE LINE: whether this can be the first line of the file. There is one patch, which
# replaces no other patch and is never forced.
is_right() {
	local right

	case ${1##*/} in
	enabled | transition | patched) right='[01]' ;;
	replace | transition_forced | deadline | probation) right=0 ;;
	stack_order | confirmed) right=1 ;;
	progress) right='[0-9]+ [0-9]+' ;;
	blockers) right='tasks [0-9]+ ((unknown|running|unreliable) -|inside [^ ]+)|\.\.\.' ;;
	transition_us) right='[0-9]+' ;;
	transition_end) right='[0-9]+\.[0-9]{6}' ;;
	mode) right='unhooked|jump|handler (settling|original|off|unsupported|taken)' ;;
	*) return 1 ;;
	esac
	[[ $2 =~ ^($right)$ ]] || return 1
	[[ ${1##*/} != progress ]] || ((${2% *} <= ${2#* }))
}

readers() {
	local file line

	set +e
	while [[ -e $stop && -d /proc/$$ ]]; do
		for file in $here/* $here/*/* $here/*/*/*; do
			[[ -f $file ]] && read -r line <"$file" || continue
			echo >>"$answers"
			is_right "$file" "$line" || echo "${file##*/} reads '$line'" >>"$wrong"
		done
	done
}

expect_right_answers() {
	[[ -s $answers ]] || fail "no read succeeded"
	[[ ! -s $wrong ]] || fail "wrong values: $(sort "$wrong" | uniq -c | head)"
}

writers() {
	set +e
	while [[ -e $stop && -d /proc/$$ ]]; do
		echo junk >$here/enabled
		echo 1 >$here/enabled
		echo 0 >$here/enabled
		echo 0 >$here/force # not 1, which would pin the module for ever
	done
}

removers() {
	set +e
	while [[ -e $stop && -d /proc/$$ ]]; do
		rmmod rlp_patch_a
	done
}

readers 2>/dev/null &
writers 2>/dev/null &
rounds=0
deadline=$((SECONDS + 15))
while ((SECONDS < deadline || rounds < 5)); do
	insmod "$(module_file rlp_patch_a)" funcs=rlp_target:one_show,:cmdline_proc_show
	# The writers disable the patch sooner or later, and may enable it again.
	wait_until 'rmmod rlp_patch_a 2>/dev/null || ! is_loaded rlp_patch_a' 60 || {
		show_patch rlp_patch_a
		fail "the patch is not disabled"
	}
	rounds=$((rounds + 1))
done
expect_right_answers
pass "readers and writers, $rounds rounds"

removers 2>/dev/null &
for ((i = 0; i < 5; i++)); do
	insmod "$(module_file rlp_patch_a)" funcs=rlp_target:one_show
	wait_until "! is_loaded rlp_patch_a" 60 || {
		show_patch rlp_patch_a
		fail "the patch is not unloaded"
	}
done
rm "$stop"
wait
expect_right_answers
rm "$answers" "$wrong"
pass "another process unloads the module as soon as possible"

expect_unchanged
pass "nothing is left"
finish
