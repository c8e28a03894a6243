#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Run the tests of the programs in tools/. Most of these tests work on folders with copies of the
# files of a machine. Check the programs with clippy, and the licences of the crates in them. Guests
# test what the programs do on a machine (selftests/operator/, selftests/system/).

. "$(dirname "$0")/../lib/env.sh"
. "$scripts/lib/tap.sh"
suite=programs

# All tests of cargo must pass. Their number shows whether a test is no longer run.
cargo_tests() {
	local output status=0 count

	output=$("$scripts/root/cargo-tools" test --release --workspace 2>&1) || status=$?
	count=$(grep -cE '^test .* \.\.\. ok$' <<<"$output" || true)
	echo "$output"
	((status == 0 && count >= 250))
}

# is_compatible LICENCE: succeed if a program under GPL-2.0 may contain code under this SPDX
# expression. Of "A OR B" one licence must be compatible, of "A AND B" both. "A/B" is an old form of
# "A OR B". Apache-2.0 alone is not compatible with version 2 of the GPL.
is_compatible() {
	perl -e '
		my %fine = map { $_ => 1 } qw(MIT ISC Zlib Unlicense BSL-1.0
			BSD-1-Clause BSD-2-Clause BSD-3-Clause Unicode-3.0 Unicode-DFS-2016
			GPL-2.0 GPL-2.0-only GPL-2.0-or-later);
		my %operator = (OR => "||", AND => "&&");
		my $text = $ARGV[0] =~ s{/}{ OR }gr =~ s/ WITH \S+/-with-exception/gr;
		$text =~ s{([A-Za-z0-9.+-]+)}{$operator{$1} // $fine{$1} // 0}ge;
		exit !($text =~ /\d/ && eval $text);' -- "$1"
}

# crates FORMAT SELECTION...: print each crate that this selection of the programs uses, in this
# format of "cargo tree".
crates() {
	"$scripts/root/cargo-tools" tree "${@:2}" --edges normal --prefix none --format "$1" |
		sed 's/ (\*)$//' | grep . | sort -u
}

# Each crate that rlp and rlp-build are built from must have a compatible licence.
licences() {
	local tree line wrong=0

	tree=$(crates '{l}|{p}' -p rlp -p rlp-build)
	(($(wc -l <<<"$tree") > 40)) || {
		echo "there must be more crates than these: $tree"
		return 1
	}
	while IFS= read -r line; do
		is_compatible "${line%%|*}" || {
			echo "not compatible with GPL-2.0: $line"
			wrong=1
		}
	done <<<"$tree"
	((wrong == 0))
}

# The check above must refuse these, and accept those.
wrong_licences_are_noticed() {
	local licence

	for licence in Apache-2.0 'MIT AND Apache-2.0' '(MIT OR Apache-2.0) AND GPL-3.0-only' \
		'GPL-3.0-only' 'Apache-2.0 WITH LLVM-exception' 'Proprietary' '' 'N/A'; do
		if is_compatible "$licence"; then
			echo "not noticed: $licence"
			return 1
		fi
	done
	for licence in MIT 'MIT OR Apache-2.0' 'Apache-2.0/MIT' \
		'(MIT OR Apache-2.0) AND Unicode-DFS-2016' \
		'Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT' 'GPL-2.0'; do
		is_compatible "$licence" || {
			echo "refused: $licence"
			return 1
		}
	done
}

# Each program must use its crates with the same features. Otherwise cargo compiles them more than
# once.
same_features() {
	local all program other

	all=$(crates '{p} {f}' --workspace)
	for program in rlp rlp-build; do
		other=$(crates '{p} {f}' -p $program | grep -vxF "$all" || true)
		[[ ! $other ]] || {
			echo "$program uses other features: $other"
			return 1
		}
	done
}

result "its own tests" cargo_tests
result "clippy" "$scripts/root/cargo-tools" clippy --release --quiet --all-targets \
	--workspace -- -D warnings
result "licences of the crates" licences
result "a licence that is not compatible is noticed" wrong_licences_are_noticed
result "the programs use their crates with the same features" same_features
exit $rc
