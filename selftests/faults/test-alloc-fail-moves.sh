#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Memory that cannot be had while patches move: when a transition is turned round,
# when one patch replaces another, and in the worker, which completes transitions,
# and lets functions jump and puts them back under the handler. The worker has
# nobody to report to: it tries again.
# timeout: 900
# guest: waiting

set -e
. "$(dirname "$0")/faults.sh"

# In the worker: a transition whose last task moves, and the way back.
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

mode_is() { # PATTERN: that of each function whose object is there
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

# Both ways in one go, with a failure in each: it is the waiting that takes time.
mode_prepare() {
	mode_is "handler off" || promote N
	wait_mode "handler off"
}
mode_try() {
	promote Y
	wait_mode "jump|handler unsupported"
	disarm
	failed_to_jump=$where
	arm "${nth:-0}"
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

inject_within kernfs_fop_write_iter
start_reversals
each_fault reverse_patching 5 refused "a patch that comes is turned round" "'moves_patch1' is not turned round \(-12\)"
each_fault reverse_unpatching 5 refused "a patch that goes is turned round" "'moves_patch1' is not turned round \(-12\)"
end_reversals

# Who could not turn it round has not stopped it.
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
pass "a transition that could not be turned round ends"

inject_within rust_livepatch:worker_run '*'
each_fault complete 10 never "transitions are completed"
load_patch rlp_patch_full
each_fault mode 10 never "functions come to jump, and jump no more"
promote Y
unload_patch rlp_patch_full

inject_within do_one_initcall
each_fault replace 50 refused "a patch replaces another" "patch 'rlp_patch_[ab]': out of memory"
unload_patch $replaced

finish_faults
