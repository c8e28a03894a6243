# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# An operation one of whose allocations fails, on top of lib/common.sh:
#
#	load_faults, or kernel_faults and then
#	arm 7; run load MODULE; disarm
#
# errno is what came of it, and where, if it is not empty, what failed; counted is how many
# allocations there were, if none of them did.
# shellcheck disable=SC2034 # variables for the tests

FAIL=/sys/module/rlp_fail/parameters

# Without the kernel's own means, rlp_fail has them.
load_faults() {
	load_module rlp_fail
	echo -n fail_nth >$FAIL/comm
	arm() { echo "$1" >$FAIL/nth; }
	disarm() {
		read_file $FAIL/failed
		where=$REPLY
		read_file $FAIL/seen
		counted=$REPLY
		echo 0 >$FAIL/nth
	}
}

# Whether the kernel has its own.
has_kernel_faults() {
	[[ -e /proc/thread-self/fail-nth && -d /sys/kernel/debug/failslab ]]
}

# With the kernel's, it is fail_nth that arms itself.
kernel_faults() {
	local at

	for at in /sys/kernel/debug/fail{slab,_page_alloc}; do
		[[ -d $at ]] || continue
		echo N >$at/ignore-gfp-wait
		echo 0 >$at/verbose
	done
	[[ ! -d $at ]] || {
		echo 0 >$at/min-order
		echo N >$at/ignore-gfp-highmem
	}
	arm() { kernel_nth=$1; }
	disarm() {
		where=
		[[ $counted != injected ]] || where="allocation $kernel_nth"
		kernel_nth=0
	}
}
kernel_nth=0

# run load MODULE [PARAMETER=VALUE...] | unload MODULE | write FILE TEXT: errno is
# then the name of the error, or 0, and counted what fail_nth has counted, if the kernel
# has its own means.
run() {
	local output what=$1 name=$2
	shift 2

	case $what in
	load) output=$(fail_nth "$kernel_nth" load "$(module_file "$name")" "$@") ;;
	*) output=$(fail_nth "$kernel_nth" "$what" "$name" "$@") ;;
	esac || fail "fail_nth $what $name"
	read -r errno counted <<<"$output"
	[[ $what$errno != load0 ]] || loaded+=("$name")
}

# window FUNCTION [COMM]: where faults are injected, and of which task, "*": of any.
inject_within() {
	[[ -d $FAIL ]] || return 0
	echo -n "${2:-fail_nth}" >$FAIL/comm
	echo "$1" >$FAIL/within
}
