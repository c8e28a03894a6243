#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A live patch that was built from a source patch has the entries of the kernel's special sections:
# static keys, static calls, alternatives, exception table, bug table, tracepoints, dynamic debug,
# per-CPU data. Its code is in a function of vmlinux and in a function of a module.
# expect-log: WARNING: (fs/proc/version|net/core/pktgen)\.c|source patch: on purpose|cut here|Call Trace
# guest: built

set -e
. "$(dirname "$0")/../lib/patches.sh"
[[ -d $RLP_MODULES/source ]] || skip "scripts/checks/test-livepatch.sh has not been run"
load_loader
RLP_MODULES+=/source
tracing=/sys/kernel/tracing
schedstats=/proc/sys/kernel/sched_schedstats
debug=/proc/dynamic_debug/control
event=$tracing/events/task/task_rename/enable
schedstats_were=$(<$schedstats)
echo 0 >$schedstats
load_module pktgen
remember_state

# sections FILE: each read runs the code once more.
sections() {
	local rest

	read_file "$1"
	rest=$REPLY
	load_patch src_sections
	read_line "$1" "key 0 own 0 clock 1 alternative 2 fault 1 one $rest"

	# "key" is a static key of vmlinux. "own" is a static key of the patch, which the first read
	# has enabled. The event and the debug message appear only while they are enabled.
	new_log
	echo 1 >$schedstats
	echo 1 >$event
	echo 'format "source patch: debug" +p' >$debug
	: >$tracing/trace
	read_line "$1" "key 1 own 1 clock 1 alternative 2 fault 1 two $rest"
	echo 0 >$event
	echo 'format "source patch: debug" -p' >$debug
	echo 0 >$schedstats
	expect_log "source patch: debug"
	grep -q "task_rename: .*newcomm=source_patch" $tracing/trace || fail "there is no event"

	new_log
	: >$tracing/trace
	read_line "$1" "key 0 own 1 clock 1 alternative 2 fault 1 three $rest"
	expect_log "source patch: on purpose"
	! log_has "source patch: debug" || fail "the message is not disabled"
	! grep -q source_patch $tracing/trace || fail "the event is not disabled"
	unload_patch src_sections
	expect_file "$1" "$rest"
	expect_unchanged
	pass "$1"
}

# read_line FILE TEXT: one read of the file, which must give this text.
read_line() {
	expect_file "$1" "$2"
}

sections /proc/version
sections /proc/net/pktgen/pgctrl
unload_module pktgen
echo "$schedstats_were" >$schedstats
finish
