#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The operations of test-alloc-fail*.sh, except those of the worker, with the kernel's own fault
# injection. This also covers allocations of pages, and allocations that the kernel makes before
# and after it calls the loader. The kernel prints a stack trace when an allocation of pages
# fails, and warns when an allocation for a module's jump labels fails.
#
# RLP_FAULTS and RLP_SEED: see choose_faults.
#
# expect-log: Call Trace|cut here|WARNING: .*jump_label
# timeout: 1800
# guest: waiting

set -e
. "$(dirname "$0")/faults.sh"
[[ -e /proc/thread-self/fail-nth ]] || skip "the kernel injects no faults (CONFIG_FAULT_INJECTION)"
[[ -d /sys/kernel/debug/failslab ]] ||
	skip "the kernel lets no allocation fail (CONFIG_FAILSLAB, CONFIG_FAULT_INJECTION_DEBUG_FS)"
[[ -d /sys/kernel/debug/fail_page_alloc ]] ||
	untested "allocations of pages (CONFIG_FAIL_PAGE_ALLOC)"
kernel_faults
# This module counts objects.
load_module rlp_fail
choose_faults fail-nth
begin_faults

if ! is_loaded rust_livepatch; then
	each_fault loader 100 refused "the loader is loaded"
	load_loader
else
	untested "loading the loader: it is in use on this machine"
fi
each_fault enable 100 refused "a patch is enabled"
each_fault disable 5 refused "a patch is disabled"
each_fault replace 100 refused "a patch replaces another"
unload_patch $replaced

start_reversals
each_fault reverse_patching 5 refused "patching is reversed"
each_fault reverse_unpatching 5 refused "unpatching is reversed"
end_reversals

load_patch rlp_patch_full
each_fault late_load 100 refused "a late module is loaded"
each_fault late_unload 5 maybe "a late module is unloaded"
unload_patch rlp_patch_full
finish_faults
