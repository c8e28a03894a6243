# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Let one allocation of an operation fail, on top of lib/common.sh. First call load_faults or
# kernel_faults. Then, to let the 7th allocation of an operation fail, call
#
#	arm 7; run load MODULE; disarm
#
# Afterwards "errno" is the result of the operation. "where" is the allocation that failed. If none
# failed, "where" is empty, and "counted" is the number of allocations.
# shellcheck disable=SC2034 # used by the tests

FAIL=/sys/module/rlp_fail/parameters
# An operation makes fewer allocations. So "arm $UNREACHED" counts them, and none fails.
UNREACHED=1000000

# load_faults: let the module rlp_fail inject the faults, for kernels without fault injection.
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

# has_kernel_faults: whether the kernel has fault injection.
has_kernel_faults() {
	[[ -e /proc/thread-self/fail-nth && -d /sys/kernel/debug/failslab ]]
}

# kernel_faults: use the kernel's fault injection. The program fail_nth then arms itself.
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

# run load MODULE [PARAMETER=VALUE...] | unload MODULE | write FILE TEXT: set "errno" to the name
# of the error, or to 0. With the kernel's fault injection, set "counted" to the number that
# fail_nth prints.
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

# inject_within FUNCTION [COMM]: let only those allocations fail that a task of this name makes
# while this function runs. "*" is any task.
inject_within() {
	[[ -d $FAIL ]] || return 0
	echo -n "${2:-fail_nth}" >$FAIL/comm
	echo "$1" >$FAIL/within
}
