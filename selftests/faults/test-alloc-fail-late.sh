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
choose_faults alloc-fail-late
load_patch rlp_patch_full

# The loader's notifier, in Rust. In a kernel tree, its type is in the kernel crate.
name='[A-Za-z0-9_]*'
notifier=$(grep -oE "_R${name}kernel(_ext)?15module_notifier${name}6loader8notifier${name}4call$name" \
	/proc/kallsyms | head -n 1)
[[ $notifier ]] || fail "the loader's notifier has no symbol"
inject_within "$notifier"
each_fault late_load 15 refused "a late module is loaded" "refusing to load module '$LATE'"
each_fault late_unload 5 never "a late module is unloaded"

# No allocation succeeds while a module is unloaded. The loader waits for memory, and does not keep
# others from using the patches meanwhile.
insmod "$(module_file $LATE)"
wait_until all_settled 30 || fail "the functions do not settle"
echo Y >$FAIL/all_from_nth
arm 1
fail_nth 0 unload $LATE >/dev/null &
unloader=$!
wait_until "read_file $FAIL/seen; ((REPLY > 20))" 20 || fail "the loader does not wait for memory"
shown=$(mktemp)
cat $FULL/enabled >"$shown" &
wait_until '[[ -s $shown ]]' 5 || {
	disarm
	fail "the files of a patch cannot be read while memory is short"
}
expect_file "$shown" 1
rm "$shown"
kill -0 $unloader || fail "the module was unloaded without memory"
# Only the task that unloads the module has no memory. insmod has memory, so the loader unhooks the
# functions of the module while it enables this patch.
load_patch rlp_patch_a funcs=rlp_target:two_show
expect_file $TARGET/two patched
unload_patch rlp_patch_a
disarm
echo N >$FAIL/all_from_nth
wait $unloader
late_unload_works
pass "a late module is unloaded after a time without memory"
unload_patch rlp_patch_full
finish_faults
