#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# ftrace shuts itself down while the loader has no patches: it can be unloaded, other modules
# come and go, and it does not load again. After this, nothing can be patched: the last test
# of its guest (test-ftrace-dead.sh is that of the other).
# guest: waiting

set -e
. "$(dirname "$0")/../lib/patches.sh"
[[ ${RLP_GUEST:-} ]] || skip "it leaves a machine without ftrace, and this one is not for tests alone"
own_loader
tracing=/sys/kernel/tracing

load_loader
load_module rlp_ftrace_dead
# Whoever changes text next finds out.
echo cmdline_proc_show >$tracing/set_ftrace_filter
echo function >$tracing/current_tracer || true
expect_file /sys/module/rlp_ftrace_dead/parameters/done Y

new_log
unload_module rust_livepatch
! log_has "cannot be unloaded" || fail "it is unloaded, and says that it cannot be"
pass "the loader is unloaded"

# What is loaded now may lie where it was.
load_module rlp_target
expect_file $TARGET/one one
cat $tracing/enabled_functions >/dev/null
unload_module rlp_target
pass "other modules come and go"

new_log
expect_load_fail ENODEV rust_livepatch
expect_log "ftrace has shut itself down, until the next boot"
! log_has "cannot be unloaded" || fail "it is not loaded, and says that it cannot be unloaded"
unload_module rlp_ftrace_dead
pass "the loader does not load again, and says why"
finish
