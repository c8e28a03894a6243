#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bpf programs on a patched function. If a program was attached before the patch was enabled, it
# still counts calls. The patch takes effect, but the function is not promoted. This also holds if
# the loader cannot find the program. A program can be attached to a patched function only while the
# function is under the handler.
# timeout: 300

. "$(dirname "$0")/../lib/common.sh"
set -e

[[ -e /sys/kernel/btf/vmlinux ]] || skip "the kernel has no BTF"
command -v bpf_trace >/dev/null || skip "bpf_trace is not built"
own_loader

patch=rust_livepatch_cmdline
function=cmdline_proc_show
mode=$RLP/$patch/vmlinux/$function,1/mode
promote=/sys/module/rust_livepatch/parameters/promote
patched="this has been live patched"
work=$(mktemp -d)

# read_patched WHEN: read /proc/cmdline three times; it must be patched.
read_patched() {
	local i

	for i in 1 2 3; do
		[[ $(cat /proc/cmdline) == "$patched" ]] || fail "$1: not patched"
	done
}

attach() {
	mkfifo "$work/stop"
	bpf_trace "$1" $function <"$work/stop" >"$work/out" 2>&1 &
	exec 3>"$work/stop"
	wait_until "grep -qs . $work/out" 30
	grep -q attached "$work/out" || fail "bpf $1: $(cat "$work/out")"
}

# detach: detach the program, and set "count" to the number of calls that it counted.
detach() {
	exec 3>&-
	wait $!
	rm "$work/stop"
	count=$(tail -n 1 "$work/out")
	rm "$work/out"
}

ktap_print_header
ktap_set_plan 7
load_loader
for kind in fentry fexit; do
	attach $kind
	load_module $patch
	wait_settled $patch
	read_patched "$kind was attached first"
	wait_until "[[ \$(cat $mode) == 'handler taken' ]]" || fail "mode is $(cat $mode)"
	read_patched "$kind prevents promotion"
	detach
	((count >= 6)) || fail "$kind counted $count of 6 calls"
	read_patched "$kind was detached"
	disable_patch $patch
	unload_module $patch
	[[ $(cat /proc/cmdline) != "$patched" ]] || fail "still patched"
	ktap_test_pass "a program of type $kind, then the patch"
done

load_module $patch
wait_until "[[ \$(cat $mode) == jump ]]"
if bpf_trace fentry $function </dev/null >"$work/refused" 2>&1; then
	fail "a bpf program was attached to a promoted function"
fi
grep -qE 'attach: (Invalid argument|Device or resource busy)' "$work/refused" || fail "$(cat "$work/refused")"
read_patched "a bpf program was refused"
ktap_test_pass "a bpf program cannot be attached to a promoted function"

echo N >$promote
wait_until "[[ \$(cat $mode) == 'handler off' ]]"
for kind in fentry fexit; do
	attach $kind
	read_patched "$kind was attached later"
	detach
	((count >= 3)) || fail "$kind counted $count of 3 calls"
	read_patched "$kind was attached later and detached"
	ktap_test_pass "the patch, then a program of type $kind"
done
echo Y >$promote
disable_patch $patch
unload_module $patch
unload_module rust_livepatch

# A kernel without ftrace_find_rec_direct(): the loader cannot find out whether a program is
# attached to a function. Each patch must take effect with a program, and without one.
load_module rust_livepatch without=ftrace_find_rec_direct
for kind in fentry fexit; do
	attach $kind
	load_module $patch
	wait_settled $patch
	read_patched "$kind was attached first, which the loader cannot know"
	detach
	((count >= 3)) || fail "$kind counted $count of 3 calls"
	read_patched "$kind was detached, which the loader cannot know"
	disable_patch $patch
	unload_module $patch
	[[ $(cat /proc/cmdline) != "$patched" ]] || fail "still patched"
	ktap_test_pass "a program of type $kind that the loader cannot find, then the patch"
done
ktap_finished
