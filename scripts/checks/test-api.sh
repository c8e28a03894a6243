#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Test the interface for patch modules, and the wrappers in rust/kernel, with the compilers alone.
# The layouts in Rust and C must agree, a patch must not need a Rust symbol, and each mistake in
# rust/api/tests and rust/kernel/tests must fail to compile for the expected reason.

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

# The folder of the tests of the wrappers, relative to $top.
wrappers=rust/kernel/tests

build_wrappers() { # MAKE ARGUMENT...
	# shellcheck disable=SC2046
	tool make -C "$kernel" M="$top" MO="$out/wrappers" $(kernel_vars) "$@" </dev/null
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

fails_with() { # LOG OBJECT ERROR
	awk -v object="$2" -v error="$3" '
		$1 == "RUSTC"                        { ours = $NF == object }
		ours && /^error/ && index($0, error) { expected = 1; next }
		ours && /^error/ && !/aborting due/  { other = 1 }
		END                                  { exit !expected || other }' "$1"
}
for source in "${mistakes[@]}"; do
	error=$(sed -n 's,^// error: ,,p' "$tests/$source")
	result "${source%.rs} is refused ($error)" fails_with "$log" "${source%.rs}.o" "$error"
done

mapfile -t mistakes < <(cd "$top" && grep -l '^// error: ' -- "$wrappers"/*.rs)
mapfile -t correct < <(cd "$top" && grep -L '^// error: ' -- "$wrappers"/*.rs)
# Write each example in the documentation of the wrappers to a source, as the kernel does for its
# own crate. Lines that begin with "# " are part of the example. Only the documentation hides them.
extract_examples() { # FOLDER
	awk -v folder="$1" '
		FNR == 1 { name = FILENAME; gsub(/.*\/|\.rs$/, "", name); nr = 0; code = 0 }
		/^ *\/\/[\/!] ```$/ && !code {
			code = 1
			file = folder "/example_" name "_" ++nr ".rs"
			print "// SPDX-License-Identifier: GPL-2.0" >file
			print "#![allow(missing_docs, unreachable_pub, unused)]" >file
			print "use kernel::prelude::*;" >file
			print "pub fn example() -> Result {" >file
			next
		}
		/^ *\/\/[\/!] ```$/ {
			print "Ok(()) }" >file
			close(file)
			code = 0
			next
		}
		code {
			sub(/^ *\/\/[\/!] ?/, "")
			sub(/^# /, "")
			if ($0 != "Ok::<(), Error>(())")
				print >file
		}' "$top"/rust/kernel/*.rs
}
mkdir -p "$out/wrappers/$wrappers"
extract_examples "$out/wrappers/$wrappers"
mapfile -t examples < <(cd "$out/wrappers" && printf '%s\n' "$wrappers"/example_*.rs)
build_examples() {
	((${#examples[@]} > 10)) && build_wrappers "${examples[@]/%.rs/.o}"
}
result "the ${#examples[@]} examples of the wrappers build" build_examples
result "the correct uses of the wrappers build" build_wrappers "${correct[@]/%.rs/.o}"
log=$out/mistakes-wrappers.log
build_wrappers -k -j1 "${mistakes[@]/%.rs/.o}" >"$log" 2>&1 || true
for source in "${mistakes[@]}"; do
	error=$(sed -n 's,^// error: ,,p' "$top/$source")
	result "${source%.rs} is refused ($error)" fails_with "$log" "${source%.rs}.o" "$error"
done
exit $rc
