#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Invalid patches. Each is refused: insmod fails with the expected errno, the reason is logged,
# and nothing is changed.
# timeout: 600

set -e
. "$(dirname "$0")/../lib/patches.sh"
load_loader
load_module rlp_target
remember_state

# bad ERRNO PATTERN FUNCS WHAT: a patch for these functions must be refused.
bad() {
	expect_refused "$1" "$2" rlp_patch_a "funcs=$3"
	expect_log "patch 'rlp_patch_a'"
	pass "$4"
}

where="failed to find location for function"

bad EINVAL "symbol 'no_such_function' not found" \
	:no_such_function "unknown symbol of vmlinux"
bad EINVAL "symbol 'no_such_function' not found" \
	rlp_target:no_such_function "unknown symbol of a module"
bad EINVAL "symbol 'cmdline_proc_show' not found" \
	rlp_target:cmdline_proc_show "a symbol of vmlinux that is looked up in a module"
bad EINVAL "symbol 'one_show' not found" \
	:one_show "a symbol of a module that is looked up in vmlinux"
bad EINVAL "symbol 'no_such_function' not found" \
	rlp_target:one_show,rlp_target:no_such_function "one good function and a bad one"
bad EINVAL "symbol 'no_such_function' not found" \
	:cmdline_proc_show,rlp_target:no_such_function "one good object and a bad one"

if (($(grep -cE ' [tT] s_show$' /proc/kallsyms) > 1)); then
	bad EINVAL "ambiguity for symbol 's_show' in object 'vmlinux'" \
		:s_show "ambiguous symbol of vmlinux"
	bad EINVAL "symbol position 99 for symbol 's_show' in object 'vmlinux' not found" \
		:s_show@99 "position out of range, in vmlinux"
else
	untested "an ambiguous symbol of vmlinux: there is one s_show at most"
fi
bad EINVAL "ambiguity for symbol 'twin_show' in object 'rlp_target'" \
	rlp_target:twin_show "ambiguous symbol of a module"
bad EINVAL "symbol position 3 for symbol 'twin_show' in object 'rlp_target' not found" \
	rlp_target:twin_show@3 "position out of range, in a module"
bad EINVAL "symbol position 2 for symbol 'one_show' in object 'rlp_target' not found" \
	rlp_target:one_show@2 "position 2 of a unique symbol"

bad EINVAL "object's name contains a slash" \
	rlp/target:one_show "an object's name that is a path"
bad EINVAL "object's name is too long" \
	"m$(long_name 55):one_show" "an object's name that is too long"
bad EINVAL "object's name is too long" \
	"m$(long_name 400):one_show" "an object's name that is much too long"
bad EINVAL "object's name is empty" \
	EMPTY:one_show "an object's name that is empty"
bad EINVAL "object's name is 'vmlinux'" \
	vmlinux:cmdline_proc_show "an object that is named vmlinux"
bad EINVAL "names object 'rlp_target' twice" \
	rlp_target:one_show,:cmdline_proc_show,rlp_target:two_show "an object that is named twice"

bad EINVAL "a function without a name" \
	rlp_target:=say "a function without a name"
bad EINVAL "name is empty or too long" \
	rlp_target:EMPTY "a function whose name is empty"
bad EINVAL "name is empty or too long" \
	"rlp_target:f$(long_name 600)" "a function whose name is too long"

bad EINVAL "function 'one_show' has no replacement" \
	rlp_target:one_show=null "no replacement"
bad EINVAL "replacement for 'one_show' is not in the text" \
	rlp_target:one_show=vmlinux "a replacement in vmlinux"
bad EINVAL "replacement for 'one_show' is not in the text" \
	rlp_target:one_show=data "a replacement that is data"
bad EINVAL "replacement for 'one_show' is not in the text" \
	rlp_target:one_show=init "a replacement that is freed after init"
bad ENOENT "lookup failed for 'one_show' replacement" \
	rlp_target:one_show=middle "a replacement in the middle of a function"

bad EINVAL "names function 'one_show' of 'rlp_target' twice" \
	rlp_target:one_show,rlp_target:one_show "the same function twice"
bad EINVAL "names function 'one_show' of 'rlp_target' twice" \
	rlp_target:one_show,rlp_target:two_show,rlp_target:one_show@1 \
	"the same function twice, with and without its position"
bad EINVAL "function '(one|alias)_show' of 'rlp_target' is named twice" \
	rlp_target:one_show,rlp_target:alias_show "the same function twice, by two names"

bad EINVAL "$where 'notrace_show': it is notrace" \
	rlp_target:notrace_show "a notrace function of a module"
bad EINVAL "symbol 'inlined_show' not found" \
	rlp_target:inlined_show "an inlined function"
bad EINVAL "symbol 'rlp_target_init' not found" \
	rlp_target:rlp_target_init "the init function of a module that is loaded"
# first PATTERN: print the first symbol in the kernel's text that matches.
first() {
	local symbol

	symbol=$(grep -m 1 -E "^[0-9a-f]+ [tT] $1" /proc/kallsyms)
	symbol=${symbol#* * }
	echo "${symbol%%[[:space:]]*}"
}
notrace=$(first 'rust_helper_[a-z_]+$')
if [[ $notrace ]] && ! grep -q "^$notrace\>" /sys/kernel/tracing/available_filter_functions; then
	bad EINVAL "$where '$notrace': it is notrace" :"$notrace" "a notrace function of vmlinux"
else
	untested "a notrace function of vmlinux: there is no Rust helper, or it can be traced"
fi
rust=$(first '_RNv[A-Za-z0-9_]+$')
if [[ $rust ]]; then
	bad EINVAL "$where '$rust': it is a Rust function" :"$rust" "a Rust function of vmlinux"
else
	untested "a Rust function of vmlinux: there is none"
fi
if ! loader_is_built_in; then
	rust=$(first '_RNv[A-Za-z0-9_]+[[:space:]]\[rust_livepatch\]')
	bad EINVAL "$where '$rust': it is a Rust function" \
		rust_livepatch:"$rust" "a Rust function of a module"
else
	untested "a Rust function of a module: the loader is built in"
fi
bad EINVAL "(symbol 'start_kernel' not found|$where 'start_kernel')" \
	:start_kernel "a function of vmlinux that is freed after boot"

expect_refused EINVAL "patch 'rlp_patch_a' has no array of objects" \
	rlp_patch_a shape=no-objects funcs=rlp_target:one_show
pass "no array of objects"
expect_refused EINVAL "object 'rlp_target' has no array of functions" \
	rlp_patch_a shape=no-functions funcs=rlp_target:one_show
pass "no array of functions"
expect_refused EINVAL "klp_enable_patch\(\) was called with a patch that has no module" \
	rlp_patch_a shape=no-module funcs=rlp_target:one_show
pass "no module"
expect_refused EINVAL "pre-patch callback failed for object 'rlp_target'" \
	rlp_patch_a shape=veto funcs=rlp_target:one_show
expect "$(log | sed -n 's/.*rust_livepatch: //p')" "enabling patch 'rlp_patch_a'
pre-patch callback failed for object 'rlp_target'
failed to enable patch 'rlp_patch_a'
'rlp_patch_a': unpatching complete" "messages of a patch whose callback fails"
pass "a callback that returns 1"

expect_refused EINVAL "klp_enable_patch\(\) was called with a NULL pointer" \
	rlp_patch_a shape=null-patch
pass "a null pointer"
expect_refused EFAULT \
	"patch 'rlp_patch_a': an array of objects is at an address that cannot be read" \
	rlp_patch_a shape=no-address funcs=rlp_target:one_show
pass "an array at an address that cannot be read"
expect_refused EINVAL "patch 'rlp_patch_a': an array of objects is at an unaligned address" \
	rlp_patch_a shape=unaligned funcs=rlp_target:one_show
pass "an array that is not aligned"
expect_refused EINVAL "klp_enable_patch\(\) was called with a patch whose module is not loaded" \
	rlp_patch_a shape=other-module funcs=rlp_target:one_show
pass "a module pointer that does not point to a loaded module"
expect_refused EINVAL "patch 'rlp_patch_a': a function's name is not terminated" \
	rlp_patch_a shape=endless funcs=rlp_target:one_show
pass "a name without an end"
expect_refused EINVAL "patch 'rlp_patch_a': the array of states is not terminated" \
	rlp_patch_a shape=endless-states funcs=rlp_target:one_show
pass "an array without an end"
# Without CONFIG_LIVEPATCH the kernel does not record whether a module is marked.
if [[ -d /sys/kernel/livepatch ]]; then
	expect_refused EINVAL "rlp_patch_untagged is not marked as a livepatch module" \
		rlp_patch_untagged funcs=rlp_target:one_show
	pass "a module that is not marked as a live patch"
else
	untested "a module that is not marked as a live patch"
fi

load_patch rlp_patch_a funcs=rlp_target:one_show
remember_state
new_log
expect_fail EEXIST write 1 /sys/module/rlp_patch_a/parameters/again
expect_log "patch 'rlp_patch_a' is already registered"
expect_unchanged
pass "the same patch again"

# A valid patch still works after all of these.
expect_file $TARGET/one patched
unload_patch rlp_patch_a
expect_file $TARGET/one one
pass "a valid patch"
finish
