#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# ftrace shuts itself down while the loader has no patches. The loader can be unloaded, but not
# loaded again; other modules can be loaded and unloaded. Nothing can be patched after this test:
# it is the last test of its guest.
# guest: waiting

set -e
. "$(dirname "$0")/../lib/patches.sh"
[[ ${RLP_GUEST:-} ]] ||
	skip "it shuts ftrace down, and this machine is not a guest for the tests"
own_loader
tracing=/sys/kernel/tracing

load_loader
load_module rlp_ftrace_dead
# ftrace shuts itself down the next time that it changes code.
echo cmdline_proc_show >$tracing/set_ftrace_filter
echo function >$tracing/current_tracer || true
expect_file /sys/module/rlp_ftrace_dead/parameters/done Y

new_log
unload_module rust_livepatch
! log_has "cannot be unloaded" || fail "the loader was unloaded, but logged that it cannot be"
pass "the loader is unloaded"

# This module may get the addresses that the loader had.
load_module rlp_target
expect_file $TARGET/one one
cat $tracing/enabled_functions >/dev/null
unload_module rlp_target
pass "other modules are loaded and unloaded"

new_log
expect_load_fail ENODEV rust_livepatch
expect_log "ftrace has shut itself down, until the next boot"
! log_has "cannot be unloaded" ||
	fail "the loader was not loaded, but logged that it cannot be unloaded"
unload_module rlp_ftrace_dead
pass "the loader does not load again, and logs the reason"
finish
