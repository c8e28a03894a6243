#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# lockdown=confidentiality, under Secure Boot: tracefs has no files, so user space can neither see
# nor set hooks, and it cannot read the kernel's memory. The loader's own kprobe and hooks are not
# restricted: patches are enabled, promoted, applied to later modules, shown in sysfs and disabled
# as without lockdown.
# guest: confidentiality

set -e
. "$(dirname "$0")/secureboot.sh"
expect_lockdown confidentiality
tracing=/sys/kernel/tracing
promote=/sys/module/rust_livepatch/parameters/promote
patch=rust_livepatch_cmdline
greeting=/proc/livepatch_sample/greeting
mode=$RLP/$patch/vmlinux/cmdline_proc_show,1/mode
patched="this has been live patched"
read_file /proc/cmdline
original=$REPLY

wait_mode() {
	wait_until "[[ \$(<$mode) == '$1' ]]" || fail "mode is '$(<"$mode")', not '$1'"
	expect_file /proc/cmdline "$patched"
}

grep -qF 'use of tracefs is restricted' /run/boot.log || fail "tracefs is not restricted"
for file in enabled_functions kprobe_events; do
	[[ ! -e $tracing/$file ]] || fail "there is $tracing/$file"
done
expect_fail EPERM dd if=/proc/kcore of=/dev/null count=1
expect_log 'Lockdown: dd: /proc/kcore access is restricted'
pass "user space can neither see nor set hooks, and cannot read the kernel's memory"

new_log
load_module rust_livepatch require_signed=1
expect_log 'rust_livepatch: ready'
RLP_MODULES=$UNSIGNED
expect_load_fail EKEYREJECTED $patch
expect_log "$no_signature"
RLP_MODULES=$SIGNED
! log_has 'the kernel lacks' || fail "the loader lacks something: $(log)"
pass "the signed loader is loaded with everything that it uses"

load_patch $patch
wait_mode jump
echo N >$promote
wait_mode 'handler off'
echo Y >$promote
wait_mode jump
pass "a patch is enabled, promoted, demoted and promoted again"

load_patch rust_livepatch_late
load_module livepatch_sample_target
expect_file $greeting "greetings from Rust"
unload_patch rust_livepatch_late
expect_file $greeting "greetings from the target"
unload_module livepatch_sample_target
pass "a module that is loaded later"

# The name of the function in which a task sleeps needs no tracing.
load_module rlp_target
fall_asleep
load_module rlp_patch_a funcs=rlp_target:sleep_show
wait_until "grep -q ' sleep_show' $RLP/rlp_patch_a/blockers" ||
	fail "the blockers are: $(<$RLP/rlp_patch_a/blockers)"
wake_up
wait_settled rlp_patch_a
unload_patch rlp_patch_a
unload_module rlp_target
pass "blockers are shown"

if command -v rlp >/dev/null; then
	rlp status --nagios || fail "rlp status: $?"
	rlp check --kernel || fail "rlp check: $?"
else
	untested "rlp, which is not built"
fi
unload_patch $patch
expect_file /proc/cmdline "$original"
unload_module rust_livepatch
! log_has 'rust_livepatch: .*(cannot|failed)' || fail "the loader has failed at something: $(log)"
pass "everything is undone"
finish
