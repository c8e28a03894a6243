#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The operations of test-alloc-fail*.sh once more, as far as the calling task does
# them, with the kernel's own fault injection: it knows pages too, and all that comes
# before the loader is asked and after it. The kernel shows where pages were lacking, and
# warns if it was for a module's jump labels.
#
#	RLP_FAULTS=	so many points of each operation (8), or "all" of them
#	RLP_SEED=	what was printed: which points, if not all
#
# expect-log: Call Trace|cut here|WARNING: .*jump_label
# timeout: 1800
# guest: waiting

set -e
. "$(dirname "$0")/faults.sh"
[[ -e /proc/thread-self/fail-nth ]] || skip "the kernel injects no faults (CONFIG_FAULT_INJECTION)"
[[ -d /sys/kernel/debug/failslab ]] || skip "no allocations are injected (CONFIG_FAILSLAB, CONFIG_FAULT_INJECTION_DEBUG_FS)"
[[ -d /sys/kernel/debug/fail_page_alloc ]] || untested "pages that cannot be had (CONFIG_FAIL_PAGE_ALLOC)"
kernel_faults
# It counts objects.
load_module rlp_fail
most=${RLP_FAULTS:-8}
[[ $most == all ]] || {
	offset=${RLP_SEED:-$RANDOM}
	say_replay "check${RLP_DEBUG:+-debug} T=fail-nth FAULTS=$most FUZZ_SEED=$offset"
}
begin_faults

if ! is_loaded rust_livepatch; then
	each_fault loader 100 refused "the loader is loaded"
	load_loader
else
	untested "the loader itself: this machine uses it"
fi
each_fault enable 100 refused "a patch is enabled"
each_fault disable 5 refused "a patch is disabled"
each_fault replace 100 refused "a patch replaces another"
unload_patch $replaced

start_reversals
each_fault reverse_patching 5 refused "a patch that comes is turned round"
each_fault reverse_unpatching 5 refused "a patch that goes is turned round"
end_reversals

load_patch rlp_patch_full
each_fault late_load 100 refused "a module comes"
each_fault late_unload 5 maybe "a module goes"
unload_patch rlp_patch_full
finish_faults
