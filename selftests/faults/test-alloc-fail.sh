#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Memory that cannot be had: each allocation on the way of a patch fails once, the
# loader's own ones and those of the kernel on its behalf. Either it works all the
# same, or it is refused with ENOMEM, nothing is changed, and the next try succeeds.
# timeout: 900
# guest: waiting

set -e
. "$(dirname "$0")/faults.sh"
load_loader
begin_faults
load_faults

inject_within do_one_initcall
each_fault enable 100 refused "a patch is enabled" "patch 'rlp_patch_full': out of memory"

inject_within kernfs_fop_write_iter
each_fault disable 10 refused "a patch is disabled" "'rlp_patch_full' stays enabled \(-12\)"

finish_faults
