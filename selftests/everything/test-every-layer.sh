#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Fifty patches of the same functions, one on top of the other. Then one patch replaces all of them.
# timeout: 400
# guest: long

set -e
. "$(dirname "$0")/everything.sh"
load_everything
work=$(mktemp -d)
layers=50
# Functions that are called whenever a command reads a file, or a process exits.
functions='seq_read_iter;vfs_read;vfs_write;do_exit;mmput;fput;filp_close;do_sys_openat2;exit_mm;path_openat'

# Modules that differ only in their names, which have the same length.
layer() {
	printf 'rlp_layer%02d' "$1"
}
RLP_LAYERS=$work/modules
mkdir "$RLP_LAYERS"
for ((i = 1; i <= layers; i++)); do
	sed "s/rlp_layer00/$(layer $i)/g" "$(module_file rlp_layer00)" >"$RLP_LAYERS/$(layer $i).ko"
done
modules=$RLP_MODULES

start_load
for ((i = 1; i <= layers; i++)); do
	RLP_MODULES=$RLP_LAYERS replace_functions "$(layer $i)" match="$functions"
done
((count >= 6)) || fail "only $count of the functions can be hooked"
[[ $(<"$RLP/$(layer $layers)/stack_order") == "$layers" ]] ||
	fail "the last layer has position $(<"$RLP/$(layer $layers)/stack_order")"
exercise || fail "the shell's commands fail"
top=$(layer $layers)
(($(count_called "$top") >= count - 2)) ||
	fail "only $(count_called "$top") of $count functions of the top layer were called"
[[ $(cat "$RLP"/rlp_layer*/enabled | sort -u) == 1 ]] || fail "a layer is not enabled"
note "$layers layers of $count functions, $(count_called "$top") of which were called"

RLP_MODULES=$modules
replace_functions rlp_everything match="$functions" replace=Y
for ((i = 1; i <= layers; i++)); do
	wait_until "patch_gone $(layer $i)" 60 || fail "$(layer $i) was not replaced"
	unload_module "$(layer $i)"
done
exercise || fail "the shell's commands fail"
(($(count_called rlp_everything) >= count - 2)) ||
	fail "only $(count_called rlp_everything) of $count functions were called"
disable_and_unload rlp_everything
stop_workers
expect_no_mixed
