#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# On a kernel that lacks an optional symbol, the loader logs what does not work without it. This
# test loads the loader without each optional symbol, and checks that the logged sentence is true.
# With all symbols, everything must work. A short run takes a third of the symbols, and RLP_SEED
# chooses the same ones again.
# timeout: 420

set -e
. "$(dirname "$0")/../lib/patches.sh"
MOVES=/proc/moves
COLD=/sys/module/rlp_cold/parameters
trap 'test_ends $?' EXIT

test_ends() {
	[[ ! -e $COLD/awake ]] || echo Y >$COLD/awake
	[[ ! -e $MOVES/release ]] || echo 1 >$MOVES/release
	patches_end "$1"
}

own_loader
needs_gate
load_module rlp_target

# The comment of each of the following functions names something that works with all symbols. The
# function sets "outcome" to "kept" if that works, and to "lost" if it does not. The function leaves
# "outcome" empty if the machine does not have what the check needs.

# All of 1,000 functions are promoted. If the loader has to promote them one at a time, it promotes
# only 16 of them.
promotion() {
	load_module bench_target
	load_patch bench_rlp_1000
	wait_until '! grep -q settling <(cat $RLP/bench_rlp_1000/bench_target/*/mode)' 30 ||
		fail "functions do not settle"
	case $(cat $RLP/bench_rlp_1000/bench_target/*/mode | sort | uniq -c | tr -s ' ' |
		tr '\n' ',') in
	" 984 handler unsupported, 16 jump,") outcome=lost ;;
	" 1000 jump,") outcome=kept ;;
	*) fail "modes: $(sort $RLP/bench_rlp_1000/bench_target/*/mode | uniq -c)" ;;
	esac
	unload_patch bench_rlp_1000
	unload_module bench_target
}

# Two patches share one ftrace_ops. Each ftrace_ops has a trampoline. (Promoted functions would not
# have the handler.)
one_ops() {
	local before after

	echo N >/sys/module/rust_livepatch/parameters/promote
	before=$(grep -c ' ftrace_trampoline\b' /proc/kallsyms || true)
	load_patch rlp_patch_a funcs=rlp_target:one_show
	load_patch rlp_patch_b funcs=rlp_target:two_show
	after=$(grep -c ' ftrace_trampoline\b' /proc/kallsyms || true)
	unload_patch rlp_patch_b
	unload_patch rlp_patch_a
	echo Y >/sys/module/rust_livepatch/parameters/promote
	case $((after - before)) in
	2) outcome=lost ;;
	0) outcome=kept ;;
	*) fail "there are $before trampolines before two patches and $after with them" ;;
	esac
}

# The log names in-tree livepatch, which has patched the function.
name_of_holder() {
	[[ -e $(module_file rlp_intree) ]] || return 0
	load_module rlp_intree funcs=rlp_target:one_show
	new_log
	expect_load_fail EBUSY rlp_patch_a funcs=rlp_target:one_show
	expect_log "failed to register ftrace handler for function 'one_show'"
	outcome=lost
	! log_has "function 'one_show' is redirected by klp_ftrace_handler" || outcome=kept
	unload_intree
}

# A task that sleeps in a patched function is woken after three seconds.
wake() {
	load_module moves_target
	moves put $MOVES/inside int sleeper &
	wait_until "[[ \$(cat $MOVES/waiting) == 1 ]]" || fail "no task sleeps"
	load_module moves_patch1
	wait_until "grep -q ' sleeper inside moves_inside\$' $RLP/moves_patch1/blockers" ||
		fail "the task does not block"
	outcome=kept
	wait_until "patch_settled moves_patch1" 8 || outcome=lost
	echo 1 >$MOVES/release
	wait
	wait_settled moves_patch1
	unload_patch moves_patch1
	unload_module moves_target
}

# A patch whose relocations wait for a module can be loaded.
relocations() {
	[[ -e $(module_file takeover_both) ]] || return 0
	load_module takeover_target
	outcome=lost
	if insmod "$(module_file takeover_both)" 2>/dev/null; then
		outcome=kept
		loaded+=(takeover_patch)
		disable_patch takeover_patch
		unload_module takeover_patch
	fi
	unload_module takeover_target
}

# A module that such a patch refers to can be loaded twice.
second_load() {
	[[ -e $(module_file takeover_both) ]] || return 0
	load_takeover takeover_both
	load_module takeover_target
	unload_module takeover_target
	outcome=lost
	! load_module takeover_target 2>/dev/null || outcome=kept
	disable_patch takeover_patch
	unload_module takeover_patch
	! is_loaded takeover_target || unload_module takeover_target
}

# A task is not switched while it is in a function that a replacement has called by a tail call.
tail_call() {
	load_patch rlp_cold
	echo N >$COLD/awake
	cat $TARGET/two >/dev/null &
	wait_until "read_file $COLD/sleepers; [[ \$REPLY == 1 ]]" || fail "no task sleeps"
	load_module rlp_patch_b funcs=rlp_target:two_show
	outcome=lost
	wait_until "patch_settled rlp_patch_b" 2 || outcome=kept
	echo Y >$COLD/awake
	wait
	wait_settled rlp_patch_b
	unload_patch rlp_patch_b
	unload_patch rlp_cold
}

# A bpf program of each type can be attached to a function that jumps.
bpf_attach() {
	local mode=$RLP/rlp_patch_a/vmlinux/cmdline_proc_show,1/mode type

	load_patch rlp_patch_a funcs=:cmdline_proc_show
	wait_until "[[ \$(cat $mode) == jump ]]" 30 || fail "the mode is $(cat "$mode")"
	outcome=kept
	for type in fentry multi; do
		bpf_trace $type cmdline_proc_show </dev/null >/dev/null 2>&1 || outcome=lost
		wait_until "[[ \$(cat $mode) == jump ]]" 30 || fail "the mode is $(cat "$mode")"
	done
	unload_patch rlp_patch_a
}

unload_intree() {
	echo 0 >/sys/kernel/livepatch/rlp_intree/enabled
	wait_until "[[ ! -e /sys/kernel/livepatch/rlp_intree ]]" 30 ||
		fail "in-tree livepatch does not disable rlp_intree"
	unload_module rlp_intree
}

# find_check SENTENCE: set REPLY to the function that checks whether this is lost.
find_check() {
	case $1 in
	"only a few functions are promoted to jumps, one at a time") REPLY=promotion ;;
	"each patch gets its own ftrace_ops, because bpf programs cannot be detected")
		REPLY=one_ops
		;;
	"bpf programs cannot be attached to a function that jumps") REPLY=bpf_attach ;;
	"the log does not name the other user of a busy function") REPLY=name_of_holder ;;
	"sleeping tasks that block a transition are not woken") REPLY=wake ;;
	"patches with relocations for modules are refused") REPLY=relocations ;;
	"a module that a patch has relocations for can be loaded only once") REPLY=second_load ;;
	"a task may be switched in a function to which a replacement jumps (a tail call)")
		REPLY=tail_call
		;;
	*) fail "no check of '$1'" ;;
	esac
}

# expect_outcome EXPECTED CHECK WHAT
expect_outcome() {
	outcome=
	$2
	case $outcome in
	'') untested "$3: $2 needs modules that were not built" ;;
	"$1") ;;
	*) fail "$3: $2 says $outcome, and $1 was expected" ;;
	esac
}

new_log
expect_load_fail ENOENT rust_livepatch 'without=*'
mapfile -t lines < <(log |
	sed -n "s/.*rust_livepatch: the kernel lacks '\([a-z_]*\)': \(.*\)/\1 \2/p")
((${#lines[@]} >= 5)) || fail "only ${#lines[@]} symbols are optional"

step=3 number=${RLP_SEED:-$RANDOM}
! long || step=1
((step == 1)) || say_replay "check T=gate-lost FUZZ_SEED=$number"

declare -A checks
tried=0
for line in "${lines[@]}"; do
	((number++ % step == 0)) || continue
	tried=$((tried + 1))
	symbol=${line%% *}
	find_check "${line#* }"
	check=$REPLY
	checks[$check]=1
	load_module rust_livepatch without="$symbol"
	expect_outcome lost "$check" "without $symbol"
	unload_module rust_livepatch
done
pass "what is lost without each of $tried of ${#lines[@]} symbols"

load_module rust_livepatch
for check in "${!checks[@]}"; do
	expect_outcome kept "$check" "with all symbols"
done
unload_module rust_livepatch
pass "nothing of that is lost with all symbols"
unload_module rlp_target
finish
