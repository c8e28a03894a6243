#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Allocations fail, one at a time, while a patch is enabled and disabled: the loader's allocations,
# and the kernel's allocations on its behalf. Either the operation still succeeds, or it fails with
# ENOMEM, nothing is changed, and the next attempt succeeds.
# timeout: 900
# guest: waiting

set -e
. "$(dirname "$0")/faults.sh"
load_loader
begin_faults
load_faults
choose_faults alloc-fail

inject_within do_one_initcall
each_fault enable 100 refused "a patch is enabled" \
	"patch 'rlp_patch_full' cannot be enabled: out of memory"

inject_within kernfs_fop_write_iter
each_fault disable 10 refused "a patch is disabled" \
	"patch 'rlp_patch_full' was not disabled \(-12\)"

finish_faults
