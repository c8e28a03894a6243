#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A module that was built for in-tree livepatch, and converted without its source, works with our
# loader: functions, callbacks, shadow variables.

. "$(dirname "$0")/../lib/common.sh"
set -e
file=/proc/takeover_target
[[ -e $(module_file takeover_alone) ]] || skip "this kernel has no in-tree livepatch"

load_loader
load_module takeover_target
[[ $(cat $file) == original ]] || fail "not original: $(cat $file)"

load_takeover takeover_alone
[[ $(cat $file) == "patched alone" ]] || fail "not patched: $(cat $file)"
log_has 'takeover_patch: attempt 1 for takeover_target' || fail "no callback, or no shadow variable"
[[ -d $RLP/takeover_patch/takeover_target/takeover_show,1 ]] || fail "the function is not in $RLP"
[[ ! -e /sys/kernel/livepatch/takeover_patch ]] || fail "the patch is in in-tree livepatch"

disable_patch takeover_patch
[[ $(cat $file) == original ]] || fail "still patched"
unload_module takeover_patch
unload_module takeover_target
