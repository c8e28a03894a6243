#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Memory that cannot be had while a module comes for which a patch waits: it is
# refused, or patched. When it goes, the patch is taken off it, whatever happens.
# timeout: 600
# guest: waiting

set -e
. "$(dirname "$0")/faults.sh"
load_loader
begin_faults
load_faults
load_patch rlp_patch_full

# The loader's notifier, in Rust.
notifier=$(grep -oE '_R[A-Za-z0-9_]*kernel_ext6module[A-Za-z0-9_]*Notifier[A-Za-z0-9_]*4call[A-Za-z0-9_]*' \
	/proc/kallsyms | head -n 1)
[[ $notifier ]] || fail "no symbol of the loader's notifier"
inject_within "$notifier"
each_fault late_load 15 refused "a module comes" "refusing to load module '$LATE'"
each_fault late_unload 5 never "a module goes"
unload_patch rlp_patch_full
finish_faults
