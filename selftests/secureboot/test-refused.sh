#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The locked-down kernel refuses a loader and a patch if they have no signature, if strip has
# removed the signature, if the key of the signature is not enrolled, and if the signature does not
# fit the content. The errors and the lines in the log are those of Documentation/user-guide.rst.

set -e
. "$(dirname "$0")/secureboot.sh"
expect_lockdown integrity

# Change one byte of each signed module, so that its signature no longer fits.
changed=$(mktemp -d)
for name in rust_livepatch rust_livepatch_cmdline; do
	sed '0,/livepatch/s//livepotch/' "$SIGNED/$name.ko" >"$changed/$name.ko"
	(($(cmp -l "$SIGNED/$name.ko" "$changed/$name.ko" | wc -l) == 1)) ||
		fail "not exactly one byte of $name is changed"
done
# Cut off the end of each signed module: the kernel finds no signature then.
cut=$(mktemp -d)
for name in rust_livepatch rust_livepatch_cmdline; do
	head -c -1 "$SIGNED/$name.ko" >"$cut/$name.ko"
done

# refuse_all MODULE: the kernel must refuse each of these files.
refuse_all() {
	local folder

	for folder in "$UNSIGNED" "$STRIPPED" "$cut"; do
		RLP_MODULES=$folder
		expect_refused EKEYREJECTED "$no_signature" "$1"
	done
	RLP_MODULES=$FOREIGN
	expect_refused EKEYREJECTED "$no_key" "$1"
	RLP_MODULES=$changed
	new_log
	expect_load_fail EKEYREJECTED "$1"
	# The kernel logs nothing for this error.
	! log_has "Lockdown|Loading of|$1" || fail "the kernel has logged: $(log)"
	expect_unchanged
	RLP_MODULES=$SIGNED
}

remember_state
refuse_all rust_livepatch
[[ ! -e $RLP ]] || fail "the refused loader has made $RLP"
pass "the loader"

load_loader
remember_state
refuse_all rust_livepatch_cmdline
[[ -z $(ls -A $RLP) ]] || fail "the refused patch has made $(ls $RLP)"
pass "a patch"

# The refusals above are not due to the module itself.
load_patch rust_livepatch_cmdline
unload_patch rust_livepatch_cmdline
expect_unchanged
pass "the same patch, signed, is enabled afterwards"
rm -r "$changed" "$cut"
finish
