#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Test the interface for patch modules with the compilers alone. The layouts in Rust and C must
# agree, a patch must not need a Rust symbol, and each mistake in rust/api/tests must fail to
# compile for the expected reason.

. "$(dirname "$0")/../lib/env.sh"
. "$scripts/lib/tap.sh"
suite=api
tests=$top/rust/api/tests
out=$(out_dir)/test-api
log=$out/mistakes.log

# objects SOURCE...: print the names of the objects that are built from these sources.
objects() {
	cd "$tests" && printf '%s\n' "$@" | sed -E 's/\.(rs|c)$/.o/'
}

build() { # MAKE ARGUMENT...
	# shellcheck disable=SC2046
	tool make -C "$kernel" M="$tests" MO="$out" $(kernel_vars) "$@" </dev/null
}

mapfile -t mistakes < <(cd "$tests" && grep -l '^// error: ' -- *.rs)
mapfile -t correct < <(cd "$tests" &&
	printf '%s\n' *.rs *.c | grep -vxF "$(printf '%s\n' "${mistakes[@]}")")

rm -rf "$out"
mkdir -p "$out"
# shellcheck disable=SC2046
result "the correct sources build" build $(objects "${correct[@]}")

same_abi() {
	local object

	for object in abi abi_rust abi_without_livepatch; do
		tool objcopy -O binary -j .rodata.rlp_abi "$out/$object.o" "$out/$object.bin" &&
			[[ -s $out/$object.bin ]] && cmp "$out/abi.bin" "$out/$object.bin" ||
			return
	done
}
result "C and Rust have the same layouts" same_abi

# Each mangled symbol of the crate contains the crate's name.
no_symbol_of_the_crate() {
	local undefined

	undefined=$(tool nm -u "$out/correct.o") && ! grep 9livepatch <<<"$undefined"
}
result "a patch needs no Rust symbol of the crate" no_symbol_of_the_crate

no_original() {
	local undefined

	undefined=$(tool nm -u "$out/abi_without_livepatch.o") && ! grep ' klp_' <<<"$undefined" &&
		grep -qaF rust_livepatch=Y "$out/abi_without_livepatch.o"
}
result "a C patch without CONFIG_LIVEPATCH needs no function of in-tree livepatch" no_original

# Build all mistakes in one run, one after another, so that the log has a section for each.
# shellcheck disable=SC2046
build -k -j1 $(objects "${mistakes[@]}") >"$log" 2>&1 || true

fails_with() { # OBJECT ERROR
	awk -v object="$1" -v error="$2" '
		$1 == "RUSTC"                        { ours = $NF == object }
		ours && /^error/ && index($0, error) { expected = 1; next }
		ours && /^error/ && !/aborting due/  { other = 1 }
		END                                  { exit !expected || other }' "$log"
}
for source in "${mistakes[@]}"; do
	error=$(sed -n 's,^// error: ,,p' "$tests/$source")
	result "${source%.rs} is refused ($error)" fails_with "${source%.rs}.o" "$error"
done
exit $rc
