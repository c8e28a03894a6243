#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Allocations fail during transitions: when a transition is reversed, when one patch replaces
# another, and in the worker, which completes transitions, and promotes and demotes functions.
# The worker has no caller to return an error to, so it retries.
# timeout: 900
# guest: waiting

set -e
. "$(dirname "$0")/faults.sh"

# In the worker: the last task of a transition is switched, and the patch is disabled again.
complete_prepare() {
	[[ ! -e $FULL ]] || return 0
	fall_asleep
	load_module rlp_patch_full
	expect_file $FULL/transition 1
}
complete_try() {
	wake_up
	wait_settled rlp_patch_full
	full_is_on
	echo 0 >$FULL/enabled
	wait_gone rlp_patch_full
}
complete_works() { full_is_off; }
complete_undo() { unload_module rlp_patch_full; }

# mode_is PATTERN: the mode of each function of a present object must match.
mode_is() {
	local file

	for file in $FULL/{vmlinux,rlp_target}/*/mode; do
		read_file "$file"
		[[ $REPLY =~ ^($1)$ ]] || return 1
	done
}

promote() { # Y|N
	echo "$1" >/sys/module/rust_livepatch/parameters/promote
}

wait_mode() { # PATTERN
	wait_until "mode_is '$1'" 30 || fail "modes: $(cat $FULL/*/*/mode), after '$where'"
}

# Promote and demote in one operation, with a fault in each. Two operations would wait for the
# worker twice as often.
mode_prepare() {
	mode_is "handler off" || promote N
	wait_mode "handler off"
}
mode_try() {
	promote Y
	wait_mode "jump|handler unsupported"
	disarm
	failed_to_jump=$where
	arm "${nth:-$UNREACHED}"
	promote N
	wait_mode "handler off"
}
mode_works() {
	full_is_on
	[[ ! $failed_to_jump || ! $where ]] || covered=$((covered + 1))
	where=${where:-$failed_to_jump}
}
mode_undo() { :; }

load_loader
begin_faults
load_faults
choose_faults alloc-fail-moves

inject_within kernfs_fop_write_iter
start_reversals
each_fault reverse_patching 5 refused "patching is reversed" \
	"patch 'moves_patch1': the transition was not reversed \(-12\)"
each_fault reverse_unpatching 5 refused "unpatching is reversed" \
	"patch 'moves_patch1': the transition was not reversed \(-12\)"
end_reversals

# A reversal that failed has not stopped the transition.
fall_asleep
load_module rlp_patch_full
arm "$((last_refusal / 2 + 1))"
run write $FULL/enabled 0
disarm
expect "$errno" ENOMEM "the errno"
wake_up
wait_settled rlp_patch_full
full_is_on
unload_patch rlp_patch_full
pass "a transition completes although its reversal failed"

inject_within "$(loader_symbol worker_run)" '*'
each_fault complete 10 never "transitions are completed"
load_patch rlp_patch_full
each_fault mode 10 never "functions are promoted and demoted"
promote Y
unload_patch rlp_patch_full

inject_within do_one_initcall
each_fault replace 50 refused "a patch replaces another" \
	"patch 'rlp_patch_[ab]' cannot be enabled: out of memory"
unload_patch $replaced

finish_faults
