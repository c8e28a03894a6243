# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Functions for the tests of injected faults, on top of patches.sh. An operation consists of
# five functions:
#
#	OPERATION_prepare	establish the state that the operation starts from, if necessary
#	OPERATION_try		do the operation with "run", or wait until it has been done
#	OPERATION_refused	check that the operation has changed nothing
#	OPERATION_works		check that the operation has succeeded
#	OPERATION_undo		return to the state before OPERATION_prepare
#
# each_fault lets the allocations of an operation fail, one in each run of the operation. Several
# tests use the operations below.

# shellcheck disable=SC1091
. "$(dirname "${BASH_SOURCE[0]}")/../lib/patches.sh"
# shellcheck disable=SC1091
. "$(dirname "${BASH_SOURCE[0]}")/inject.sh"

FULL=$RLP/rlp_patch_full
covered=0 counts=''
# "sample_size" is the number of allocations of each operation that are chosen to fail, or "all".
# They are evenly spread. "offset" shifts the chosen allocations, so that each run can choose
# others.
sample_size=all offset=0

# choose_faults TEST: let about 12 allocations of each operation fail, or 4 in a short run, or
# RLP_FAULTS of them. RLP_SEED is a number that was printed, to choose the same allocations.
choose_faults() {
	local number=4

	! long || number=12
	sample_size=${RLP_FAULTS:-$number}
	[[ $sample_size != all ]] || return 0
	offset=${RLP_SEED:-$RANDOM}
	say_replay "check${RLP_DEBUG:+-debug} T=$1 FAULTS=$sample_size FUZZ_SEED=$offset"
}

# In the operation "replace", two patches replace each other: treat them as one patch.
read_fault_state() {
	read_state
	state=${state//rlp_patch_[ab]/rlp_patch}
}

# expect_state STATE AFTER: wait until the state is STATE.
expect_state() {
	local wanted=$1

	wait_until 'read_fault_state; [[ $state == "$wanted" ]]' 30 && return
	diff <(echo "$1") <(echo "$state") | sed 's/^/# /'
	fail "the state differs, see above: < before, > after $2 in '$where'"
}

# Whether each function of a patch without a transition has settled. Until then, the loader
# allocates memory for a moment in the background.
all_settled() {
	local mode

	for mode in "$RLP"/*/*/*/mode; do
		[[ -e $mode ]] || continue
		read_file "${mode%/*/*/*}/transition"
		[[ $REPLY == 0 ]] || continue
		read_file "$mode"
		[[ $REPLY != "handler settling" ]] || return 1
	done
}

# Set "live" to the number of objects that Rust code has allocated, as rlp_fail counts them. Set
# "counts" if the number is not 0. If the number is 0 throughout the test, rlp_fail counts nothing.
live_objects() {
	read -r live <$FAIL/live || fail "the number of objects cannot be read"
	((live == 0)) || counts=1
}

# wait_live_steady: wait until the number of objects stays the same. The loader removes its last
# probe on the scheduler in the background. This removal takes less time than the pause between two
# checks.
wait_live_steady() {
	local before=-1

	wait_until all_settled 30 || fail "$op: the functions do not settle"
	live_objects
	while ((live != before)); do
		before=$live
		sleep "${RLP_SLOW:-1}"
		live_objects
	done
}

# expect_live WANTED: wait until this number of objects exists, as before. One object may be
# missing: when a module is loaded, the loader allocates a record of its name. If this allocation
# failed, the record is missing until the module is unloaded. In that case, repeat the operation
# without a fault.
expect_live() {
	local wanted=$1

	wait_until 'live_objects; ((live == wanted))' 30 && return
	if [[ $errno == 0 ]] && ((live == wanted - 1)); then
		"${op}_try"
		[[ $errno == 0 ]] || fail "$op: $errno when it is repeated, after '$where'"
		"${op}_works"
		"${op}_undo"
		"${op}_prepare"
		wait_until 'live_objects; ((live == wanted))' 30 && return
	fi
	fail "$((live - wanted)) objects are left, after $nth: '$where', $errno"
}

# each_fault OPERATION MINIMUM refused|maybe|never WHAT [LINE]: at least MINIMUM allocations must
# be able to fail. "refused": at least one fault must make the operation fail. "maybe": faults may
# make it fail. "never": no fault may make it fail. The loader must log LINE each time that it
# refuses the operation. Set last_refusal to the number of the last allocation whose fault made the
# operation fail.
each_fault() {
	local op=$1 minimum=$2 how=$3 nth step=1 first pass=1 total base base_live
	local refused=0 survived=0
	local line=${5:-} said refused_by_loader=0 which=''

	where=nothing errno=0 counted=0 live=0
	# First run the operation without a fault, and count its allocations. This run also
	# allocates the objects that later runs use again.
	"${op}_prepare"
	arm $UNREACHED
	"${op}_try"
	disarm
	where=nothing
	[[ $errno == 0 ]] || fail "$op: $errno"
	total=$counted
	[[ $sample_size == all ]] || step=$((total / sample_size + 1))
	first=$((1 + offset % step))
	((step == 1)) || which=", every $step from number $first"
	"${op}_works"
	live_objects
	"${op}_undo"
	"${op}_prepare"
	read_fault_state
	base=$state
	wait_live_steady
	base_live=$live
	new_log

	for ((nth = first; ; nth += step)); do
		arm "$nth"
		"${op}_try"
		disarm
		case $errno in
		0) survived=$((survived + 1)) ;;
		ENOMEM)
			[[ $where ]] || fail "$op: ENOMEM, although no allocation has failed"
			[[ $how != never ]] || fail "$op: ENOMEM, after '$where'"
			refused=$((refused + 1))
			# This is the kernel's own buffer for the write; the loader is not called.
			[[ $where == kernfs_fop_write_iter+* ]] ||
				refused_by_loader=$((refused_by_loader + 1))
			# shellcheck disable=SC2034 # used by the tests
			last_refusal=$nth
			"${op}_refused"
			expect_state "$base" "$op was refused"
			"${op}_try"
			[[ $errno == 0 ]] || fail "$op: $errno when tried again, after '$where'"
			;;
		*) fail "$op: $errno instead of ENOMEM, after '$where'" ;;
		esac
		"${op}_works"
		"${op}_undo"
		if [[ ! $where ]]; then
			# The operation made fewer allocations than this number.
			survived=$((survived - 1))
			# If only some allocations were chosen, the operation may have survived
			# all these faults. In that case, try the next allocations.
			[[ $how == refused ]] && ((refused == 0 && pass < step)) || break
			first=$((1 + (offset + pass++) % step))
			nth=$((first - step))
			which+=" and $first"
		fi
		"${op}_prepare"
		expect_state "$base" "$op was undone"
		expect_live "$base_live"
	done
	[[ $sample_size != all ]] || total=$((refused + survived))
	((total >= minimum)) || fail "$op: only $total allocations"
	[[ $how != refused ]] || ((refused)) || fail "$op: no fault made it fail"
	covered=$((covered + refused + survived))
	if [[ $line ]]; then
		said=$(log | grep -cE -- "$line") || true
		((said == refused_by_loader)) ||
			fail "$op: '$line' is in the log $said times, and not $refused_by_loader"
	fi
	pass "$4: $((refused + survived)) faults of $total$which: $refused return ENOMEM, $survived have no effect"
}

# A patch with callbacks, shadow variables, two present objects, and an absent one.
full_is_on() {
	expect_file $FULL/enabled 1
	expect_file $FULL/transition 0
	expect_file /proc/cmdline patched
	expect_file $TARGET/one patched
}

full_is_off() {
	[[ ! -e $FULL ]] || fail "$FULL exists, after '$where'"
	expect_file $TARGET/one one
	read_file /proc/cmdline
	[[ $REPLY != patched ]] || fail "/proc/cmdline is patched, after '$where'"
}

enable_prepare() { :; }
enable_try() { run load rlp_patch_full; }
enable_refused() { full_is_off; }
enable_works() {
	wait_settled rlp_patch_full
	full_is_on
}
enable_undo() {
	patch_off rlp_patch_full
	unload_module rlp_patch_full
	full_is_off
}

disable_prepare() {
	[[ -e $FULL ]] || load_patch rlp_patch_full
}
disable_try() { run write $FULL/enabled 0; }
disable_refused() { full_is_on; }
disable_works() {
	wait_gone rlp_patch_full
	full_is_off
}
disable_undo() { unload_module rlp_patch_full; }

# One patch replaces another. Their roles change each time.
replaced=rlp_patch_a replacing=rlp_patch_b
replace_prepare() {
	is_loaded $replaced || load_patch $replaced says=$replaced funcs=rlp_target:one_show
}
replace_try() {
	run load $replacing says=$replacing replace=Y funcs=rlp_target:one_show
}
replace_refused() {
	expect_file $RLP/$replaced/enabled 1
	expect_file $RLP/$replaced/transition 0
	expect_file $TARGET/one $replaced
}
replace_works() {
	wait_gone $replaced
	wait_settled $replacing
	expect_file $TARGET/one $replacing
}
replace_undo() {
	local gone=$replaced

	unload_module $gone
	replaced=$replacing replacing=$gone
}

# A transition that completes in neither direction: one process sleeps in the original, and a
# later one in the replacement.
MOVES=/proc/moves P1=$RLP/moves_patch1

sleep_inside() { # NAME
	local before

	read -r before <$MOVES/waiting
	moves put $MOVES/inside kill "$1" &
	wait_until "read_file $MOVES/waiting; ((REPLY > $before))" || fail "$1 does not sleep"
}

start_reversals() {
	load_module moves_target
	sleep_inside old
	load_module moves_patch1
	sleep_inside new
}

end_reversals() {
	echo 1 >$MOVES/release
	wait
	disable_patch moves_patch1
	unload_module moves_patch1
	unload_module moves_target
}

# expect_direction 0|1: the transition must run, with this value of "enabled" as its target.
expect_direction() {
	expect_file $P1/enabled "$1"
	expect_file $P1/transition 1
}

set_direction() { # 0|1
	read_file $P1/enabled
	[[ $REPLY == "$1" ]] || echo "$1" >$P1/enabled
}

reverse_patching_prepare() { set_direction 1; }
reverse_patching_try() { run write $P1/enabled 0; }
reverse_patching_refused() { expect_direction 1; }
reverse_patching_works() { expect_direction 0; }
reverse_patching_undo() { :; }

reverse_unpatching_prepare() { set_direction 0; }
reverse_unpatching_try() { run write $P1/enabled 1; }
reverse_unpatching_refused() { expect_direction 0; }
reverse_unpatching_works() { expect_direction 1; }
reverse_unpatching_undo() { :; }

# A late module is loaded and unloaded, with a patch for it.
LATE=livepatch_sample_target

expect_late_patched() { # 0|1
	expect_file $FULL/$LATE/patched "$1"
	full_is_on
}

late_load_prepare() { :; }
late_load_try() { run load $LATE; }
late_load_refused() {
	! is_loaded $LATE || fail "$LATE is loaded, after '$where'"
	expect_late_patched 0
}
late_load_works() {
	expect_late_patched 1
	expect_file /proc/livepatch_sample/greeting patched
}
late_load_undo() {
	unload_module $LATE
	expect_late_patched 0
}

late_unload_prepare() { is_loaded $LATE || load_module $LATE; }
late_unload_try() { run unload $LATE; }
late_unload_refused() { late_load_works; }
late_unload_works() {
	! is_loaded $LATE || fail "$LATE is still loaded, after '$where'"
	expect_late_patched 0
}
late_unload_undo() { :; }

# The loader itself.
loader_prepare() { :; }
loader_try() { run load rust_livepatch; }
loader_refused() {
	! is_loaded rust_livepatch || fail "the loader is loaded, after '$where'"
	[[ ! -e $RLP ]] || fail "$RLP is left, after '$where'"
}
loader_works() {
	load_patch rlp_patch_a funcs=rlp_target:one_show
	expect_file $TARGET/one patched
	unload_patch rlp_patch_a
	expect_file $TARGET/one one
}
loader_undo() { unload_module rust_livepatch; }

# begin_faults and finish_faults: the first and the last command of a test.
begin_faults() {
	load_module rlp_target
	read_file $PARAMETERS/sched_switch_users
	probes=$REPLY
}

finish_faults() {
	expect_probes "$probes"
	[[ $counts ]] || fail "no object was ever counted"
	echo "# $covered allocations failed in all"
	finish
}
