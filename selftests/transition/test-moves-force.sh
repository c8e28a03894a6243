#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Force switches the remaining tasks without any check of their stacks. So calls are mixed, and
# the mixed calls must be counted. This shows that the counter works, which other tests rely on.

set -e
. "$(dirname "$0")/moves.sh"
load_moves

load_module moves_patch1
wait_settled moves_patch1
expect_fail EINVAL write 1 "$P1/force"
unload_patch moves_patch1

start_process pair "3 unint" straggler
load_module moves_patch1
expect_blocker moves_patch1 straggler inside moves_session
echo 0 >"$P1/force"
sleep 0.2
expect_transition moves_patch1
expect_fail EINVAL write x "$P1/force"
expect_no_mixed
echo 1 >"$P1/force"
wait_settled moves_patch1
log_has "'moves_patch1': forcing remaining tasks" || fail "the force is not in the log"
[[ $(cat "$P1/transition_forced") == 1 ]] || fail "its transition is not shown as forced"
expect_version 1
wait_until "release; ! kill -0 $process_pid 2>/dev/null"
# The caller of version 0 has called the callee of version 1 in its last two steps.
(($(mixed) == 2)) || fail "$(mixed) mixed pairs were counted, not 2"
note "2 of 3 pairs were mixed after force"

# No task runs the patch's code, and its removal was not forced: it can be unloaded.
unload_patch moves_patch1
