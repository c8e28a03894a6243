#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Test rlp on folders with copies of the files of a machine: its unit tests, and the tests in
# tools/rlp/tests. Check the licences of the crates that the programs are built from, and the units
# of systemd. What rlp does to a machine is tested in the guest (selftests/operator/test-rlp.sh).

. "$(dirname "$0")/../lib/env.sh"
. "$scripts/lib/tap.sh"
suite=rlp

# All tests of cargo must pass. Their number shows whether a test is no longer run.
cargo_tests() {
	local output status=0 count

	output=$("$scripts/root/cargo-tools" test --release -p durable -p rlp 2>&1) || status=$?
	count=$(grep -cE '^test .* \.\.\. ok$' <<<"$output" || true)
	echo "$output"
	((status == 0 && count >= 40))
}

# rlp is under GPL-2.0. Each crate that it is built from must have a compatible licence.
licences() {
	local tree line wrong=0

	tree=$("$scripts/root/cargo-tools" tree -p rlp --edges normal --prefix none \
		--format '{l} {p}' | sort -u)
	(($(wc -l <<<"$tree") > 20)) || {
		echo "there must be more crates than these: $tree"
		return 1
	}
	while IFS= read -r line; do
		case " ${line//[\/()]/ } " in
		*" MIT "* | *" BSD-"[123]"-Clause "* | *" BSL-1.0 "* | *" Zlib "* | \
			*" Unlicense "* | *" GPL-2.0 rlp "* | *" GPL-2.0 durable "*) ;;
		*)
			echo "$line"
			wrong=1
			;;
		esac
	done <<<"$tree"
	((wrong == 0))
}

# With livepatch.off on the kernel's command line, no patch is loaded at boot. The condition of the
# unit and the program rlp must both have this word.
units() {
	local unit=$top/tools/rlp/systemd/rlp-boot.service

	grep -qx 'ConditionKernelCommandLine=!livepatch.off' "$unit" &&
		grep -qF '"livepatch.off"' "$top/tools/rlp/src/boot.rs" &&
		grep -qx 'ExecStart=-/usr/bin/rlp boot' "$unit"
}

# The operator's guide must have each failure, each reason of status, and each finding of check and
# doctor that is not good, in a literal. Formatted values match anything.
same_messages() {
	local literals patterns missing

	literals=$(tr '\n' ' ' <"$top/Documentation/operating.rst" | grep -oP '``\K.*?(?=``)')
	patterns=$(perl -0ne 's/#\[cfg\(test\)\].*//s; while (/(?:Failure::(?:error|refused|in_progress|taken_back)\(|findings\.(?:note|wrong)\(|self\.reason\(\s*\w+,)\s*(?:format!\(\s*)?"((?:[^"\\]|\\.)*)"/g) {
			my $text = $1 =~ s/\\\n\s*//gr;
			next if $text =~ /--root/; # for tests only
			my @parts = map { s/[][().*+?^\$|\\]/\\$&/gr } split /\{[^}]*\}/, $text, -1;
			print join(".*", @parts), "\n" if $text =~ s/\{[^}]*\}//gr =~ /[a-z]/;
		}' "$top"/tools/rlp/src/*.rs | sort -u)
	(($(wc -l <<<"$patterns") > 55)) || {
		echo "there must be more messages than these: $patterns"
		return 1
	}
	missing=$(while IFS= read -r pattern; do
		grep -qxE -- "$pattern" <<<"$literals" || echo "not in operating.rst: $pattern"
	done <<<"$patterns")
	echo "$missing"
	[[ ! $missing ]]
}

result "its own tests" cargo_tests
result "clippy" "$scripts/root/cargo-tools" clippy --release --quiet --all-targets \
	-p durable -p rlp -- -D warnings
result "licences of the crates" licences
result "the unit of the boot" units
result "the operator's guide has every message" same_messages
exit $rc
