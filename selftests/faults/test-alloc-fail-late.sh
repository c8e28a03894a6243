#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Allocations fail while a late module is loaded: the module is refused, or patched. When the
# module is unloaded, it is unpatched, whichever allocation fails.
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
[[ $notifier ]] || fail "the loader's notifier has no symbol"
inject_within "$notifier"
each_fault late_load 15 refused "a late module is loaded" "refusing to load module '$LATE'"
each_fault late_unload 5 never "a late module is unloaded"
unload_patch rlp_patch_full
finish_faults
