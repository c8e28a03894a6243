#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A function has jumped, and ftrace shuts itself down while the loader has no patches. The stubs on
# the functions of bpf cannot be detached, so the unload of the loader does not end. A bpf program
# is attached through the stubs, which must still be there. Nothing can be patched after this test.
# guest: alone

set -e
. "$(dirname "$0")/../lib/patches.sh"
[[ ${RLP_GUEST:-} ]] ||
	skip "it shuts ftrace down, and this machine is not a guest for the tests"
command -v bpf_trace >/dev/null || skip "bpf_trace is not built"
own_loader
tracing=/sys/kernel/tracing
function=cmdline_proc_show

load_loader
load_patch rlp_patch_a funcs=:$function
wait_until "[[ \$(cat $RLP/rlp_patch_a/vmlinux/$function,1/mode) == jump ]]" ||
	fail "it does not jump"
unload_patch rlp_patch_a
grep -q '^bpf_trampoline_' $tracing/enabled_functions || skip "this kernel lets bpf not be watched"
load_module rlp_ftrace_dead
echo $function >$tracing/set_ftrace_filter
echo function >$tracing/current_tracer || true
expect_file /sys/module/rlp_ftrace_dead/parameters/done Y

new_log
rmmod rust_livepatch &
unload=$!
disown $unload
wait_until "log_has 'the loader is not unloaded, because bpf may still call it'" ||
	fail "the unload does not say that it does not end"
kill -0 $unload || fail "the unload has ended"
pass "the unload does not end"

bpf_trace fentry $function </dev/null >/dev/null 2>&1 || true
read_file /proc/cmdline
kill -0 $unload || fail "the unload has ended"
pass "bpf calls the stubs"
unload_module rlp_ftrace_dead
loaded=()
finish
