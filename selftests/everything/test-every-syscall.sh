#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# All system calls are replaced by stubs at once, while tasks sleep in some of them and call the
# others.
# timeout: 300

set -e
. "$(dirname "$0")/everything.sh"
load_everything
# A task that sleeps in a system call is switched when it is nudged.
sleep 1000 &
sleeper=$!
start_load
load_stubs rlp_everything \
	match='__x64_sys_*;__ia32_sys_*;__x64_compat_sys_*;__ia32_compat_sys_*;x64_sys_call'
count=$(wc -l </proc/rlp_everything)
((count > 200)) || fail "there are only $count system calls"
wait_until "grep -q ' sleep .*nanosleep' $RLP/rlp_everything/blockers 2>/dev/null || patch_settled rlp_everything"
wait_settled rlp_everything 60
expect_replaced rlp_everything "$count"
exercise || fail "the shell's commands fail"
wait_until "settled_modes rlp_everything" 30
exercise || fail "the shell's commands fail once the system calls jump"
expect_called rlp_everything \
	__x64_sys_{read,write,openat,close,execve,exit_group,wait4,mmap,munmap} \
	__x64_sys_{newfstatat,getdents64}
kill -0 $sleeper || fail "the task that slept in a system call has ended"
note "$count system calls are replaced, $(count_promoted rlp_everything) jump, $(count_called rlp_everything) were called"
disable_and_unload rlp_everything
exercise || fail "the shell's commands fail afterwards"
kill $sleeper
stop_workers
expect_no_mixed
