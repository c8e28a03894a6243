#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bpf programs on a patched function. A program can be attached before the function is patched, and
# at any time after that, also when the function jumps: the loader demotes the function first. The
# program counts calls, and the patch has its effect. When the program is gone, the function is
# promoted again. All of this also holds if the loader cannot find out whether a program is
# attached.
# timeout: 300

. "$(dirname "$0")/../lib/common.sh"
set -e

[[ -e /sys/kernel/btf/vmlinux ]] || skip "the kernel has no BTF"
command -v bpf_trace >/dev/null || skip "bpf_trace is not built"

patch=rust_livepatch_cmdline
function=cmdline_proc_show
mode=$RLP/$patch/vmlinux/$function,1/mode
promote=/sys/module/rust_livepatch/parameters/promote
tracing=/sys/kernel/tracing
patched="this has been live patched"
work=$(mktemp -d)
kinds=(fentry fexit)
if grep -q ' bpf_trampoline_multi_attach$' /proc/kallsyms; then
	kinds+=(multi)
else
	untested "a program on several functions: the kernel has no such programs"
fi

# read_patched WHEN: read /proc/cmdline three times; it must be patched.
read_patched() {
	local i

	for i in 1 2 3; do
		[[ $(cat /proc/cmdline) == "$patched" ]] || fail "$1: not patched"
	done
}

wait_mode() { # MODE [SECONDS]
	wait_until "[[ \$(cat $mode) == '$1' ]]" "${2:-10}" ||
		fail "mode is '$(cat $mode)', not '$1'"
}

attach() {
	mkfifo "$work/stop"
	bpf_trace "$1" $function <"$work/stop" >"$work/out" 2>&1 &
	tracer=$!
	exec 3>"$work/stop"
	wait_until "grep -qs . $work/out" 30
	grep -q attached "$work/out" || fail "bpf $1: $(cat "$work/out")"
}

# detach CALLS: detach the program, which must have counted at least so many calls.
detach() {
	local count

	exec 3>&-
	wait $tracer
	rm "$work/stop"
	count=$(tail -n 1 "$work/out")
	rm "$work/out"
	((count >= $1)) || fail "the program counted $count of $1 calls"
}

# promote_again: the program is gone, so the function must be promoted again. The loader tries this
# every ten seconds. The first call waits for that. Later calls write the parameter promote, which
# makes the loader try at once.
waited=
promote_again() {
	if [[ $waited ]]; then
		echo N >$promote
		echo Y >$promote
	fi
	wait_mode jump 30
	waited=1
}

# program_first KIND: a program is attached, and then the patch is enabled.
program_first() {
	attach "$1"
	load_module $patch
	wait_settled $patch
	read_patched "$1 was attached first"
	wait_mode 'handler taken'
	read_patched "$1 prevents promotion"
	detach 6
	read_patched "$1 was detached"
	promote_again
	read_patched "promoted when $1 was gone"
}

# patch_first KIND: the function jumps, and then a program is attached.
patch_first() {
	attach "$1"
	[[ $(cat $mode) == handler* ]] || fail "mode is '$(cat $mode)' with a program"
	read_patched "$1 was attached later"
	wait_mode 'handler taken'
	read_patched "$1 was attached later, and prevents promotion"
	detach 6
	read_patched "$1 was attached later and detached"
}

unpatch() {
	disable_patch $patch
	unload_module $patch
	[[ $(cat /proc/cmdline) != "$patched" ]] || fail "still patched"
}

# kinds_without SYMBOL: print the types of programs to try on a kernel without that symbol.
kinds_without() {
	if [[ $1 ]] && ! long; then
		echo fentry
	else
		echo "${kinds[@]}"
	fi
}

withouts=("")
! has_gate || withouts+=(ftrace_find_rec_direct)
tests=$((${#withouts[@]} + 2))
for without in "${withouts[@]}"; do
	tests=$((tests + 2 * $(kinds_without "$without" | wc -w)))
done
ktap_print_header
ktap_set_plan $tests
for without in "${withouts[@]}"; do
	start_loader ${without:+without=$without}
	for kind in $(kinds_without "$without"); do
		program_first $kind
		ktap_test_pass \
			"a program of type $kind, then the patch ${without:+(without $without)}"
		patch_first $kind
		ktap_test_pass \
			"the patch, then a program of type $kind ${without:+(without $without)}"
		unpatch
	done
	stop_loader
done

start_loader
load_module $patch
wait_mode jump
attach fexit
disable_patch $patch
unload_module $patch
[[ $(cat /proc/cmdline) != "$patched" ]] || fail "still patched"
detach 1
ktap_test_pass "a patch is disabled and unloaded while a program is on its function"

# The loader watches the functions of the kernel that attach programs. Such a function can still be
# patched. (The replacement does not attach programs, so the test attaches none meanwhile.) A tracer
# on such a function changes the way in which ftrace calls the loader. The loader must still make
# room for a program.
load_module $patch
wait_mode jump
load_module rlp_patch_a funcs=:bpf_trampoline_link_prog
wait_settled rlp_patch_a
wait_until "grep -q 'handler taken' $RLP/rlp_patch_a/vmlinux/bpf_trampoline_link_prog,1/mode" ||
	fail "the mode of a watched function is $(cat $RLP/rlp_patch_a/vmlinux/*/mode)"
disable_patch rlp_patch_a
unload_module rlp_patch_a
echo bpf_trampoline_link_prog >$tracing/set_ftrace_filter
echo function >$tracing/current_tracer
attach fentry
read_patched "with a tracer on bpf_trampoline_link_prog()"
detach 3
grep -q bpf_trampoline_link_prog $tracing/trace ||
	fail "the tracer does not see bpf_trampoline_link_prog()"
echo nop >$tracing/current_tracer
echo >$tracing/set_ftrace_filter
ktap_test_pass "a patch, and then a tracer, on the function that attaches programs"

# Programs are attached and detached, while the function is promoted and demoted.
for ((round = 0; round < 6; round++)); do
	attach fentry
	read_patched "round $round"
	detach 3
	echo N >$promote
	echo Y >$promote
	nap 0.$((round + 3))
done
promote_again
unpatch
stop_loader
[[ -z $(hooks_left 'rlp|direct') ]] ||
	fail "the loader left hooks behind: $(cat $tracing/enabled_functions)"
ktap_test_pass "programs are attached and detached while the function is promoted and demoted"

has_gate || ktap_finished
# A kernel without bpf_trampoline_link_prog(): a program is refused while the function jumps.
start_loader without='bpf_trampoline_*'
load_module $patch
wait_mode jump
if bpf_trace fentry $function </dev/null >"$work/refused" 2>&1; then
	fail "a bpf program was attached to a promoted function"
fi
grep -qE 'attach: (Invalid argument|Device or resource busy)' "$work/refused" ||
	fail "$(cat "$work/refused")"
read_patched "a bpf program was refused"
echo N >$promote
wait_mode 'handler off'
attach fentry
read_patched "with promote=N"
detach 3
echo Y >$promote
unpatch
stop_loader
ktap_test_pass "without bpf_trampoline_link_prog(), a program is refused while the function jumps"
ktap_finished
