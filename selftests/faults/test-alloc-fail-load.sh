#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Allocations fail while the loader itself is loaded: it fails with ENOMEM, or works without an
# optional feature, and leaves nothing.
# timeout: 600
# guest: waiting

set -e
. "$(dirname "$0")/faults.sh"
own_loader
begin_faults
load_faults
choose_faults alloc-fail-load

inject_within do_one_initcall
each_fault loader 15 refused "the loader is loaded" "failed to initialize the loader \(-12\)"
finish_faults
