#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Test rlp on folders with copies of the files of a machine: its unit tests, and the tests in
# tools/rlp/tests. Check the licences of the crates that the programs are built from, and the units
# of systemd. The effects of rlp on a machine are tested in the guest
# (selftests/operator/test-rlp.sh).

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

# Each crate that rlp and rlp-build are built from must have a compatible licence.
licences() {
	local tree line wrong=0

	tree=$("$scripts/root/cargo-tools" tree -p rlp -p rlp-build --edges normal --prefix none \
		--format '{l}|{p}' | sed 's/ (\*)$//' | grep . | sort -u)
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

# features_of SELECTION: print each crate that this selection of the programs uses, with its features.
features_of() {
	"$scripts/root/cargo-tools" tree "$@" --edges normal --prefix none --format '{p} {f}' |
		sed 's/ (\*)$//' | grep . | sort -u
}

# Each program must use its crates with the same features. Otherwise cargo compiles them more than
# once.
same_features() {
	local all program other

	all=$(features_of --workspace)
	for program in rlp rlp-build; do
		other=$(features_of -p $program | grep -vxF "$all" || true)
		[[ ! $other ]] || {
			echo "$program uses other features: $other"
			return 1
		}
	done
}

# With livepatch.off on the kernel's command line, no patch is loaded at boot. The condition of the
# unit and the program rlp must both have this word.
units() {
	local unit=$top/tools/rlp/systemd/rlp-boot.service

	grep -qx 'ConditionKernelCommandLine=!livepatch.off' "$unit" &&
		grep -qF '"livepatch.off"' "$top/tools/rlp/src/boot.rs" &&
		grep -qx 'ExecStart=-/usr/bin/rlp boot' "$unit" &&
		grep -qx 'ExecStart=/usr/bin/rlp heartbeat' "${unit/boot/heartbeat}" &&
		grep -qx 'FixedRandomDelay=true' "$top/tools/rlp/systemd/rlp-heartbeat.timer"
}

# rlp_texts FILE...: print each text in source files of rlp, except in comments, attributes and unit
# tests. A text is a literal with two words or more, whatever the program does with it: failures,
# reasons, advice, notes, answers, and what only a person reads.
rlp_texts() {
	perl -0777 -ne 's/#\[cfg\(test\)\].*//s; s{^\s*//.*$}{}mg; s/#\[[^\]]*\]//g; s/\x27"\x27//g; s/\bb"(?:[^"\\]|\\.)*"//g;
		while (/"((?:[^"\\]|\\.)*)"/sg) {
			my $text = $1 =~ s/\\\n\s*//gr =~ s/\\n/ /gr =~ s/^\s+|\s+$//gr;
			print "$text\n"
				if $text =~ s/\{[^}]*\}//gr =~ /[a-z]{2}[^a-z]* [^a-z]*[a-z]/;
		}' "$@"
}

# not_in GUIDE FILE...: print each text of these files that no guide for users of rlp has in a
# literal: this one, those of auditors, that of operators of many machines, and that of those who
# run the repository. Formatted values match anything. Texts that only tests see (--root) are left
# out. Two other texts are no messages of rlp, and are left out, too: rlp searches for one in errors
# of the standard library, and for the other in the log of a panic.
not_in() {
	local guide=$1 literals text pattern
	shift

	literals=$(cat "$guide" \
		"${guide%/*}"/{evidence,fleet,report,repository,tables/messages}.rst |
		tr '\n' ' ' | tr -s ' ' | grep -oP '``\K.*?(?=``)')
	while IFS= read -r text; do
		pattern=$(perl -e 'print join ".*", map { s/[][().*+?^\$|\\]/\\$&/gr } split /\{[^}]*\}/, $ARGV[0], -1' -- "$text")
		grep -qxE -e "$pattern" <<<"$literals" || echo "not in ${guide##*/}: $text"
	done < <(rlp_texts "$@" |
		grep -vF -e --root -e '(os error' -e 'the kernel panics while' | sort -u)
}

# The guides must have each text of rlp. cli.rs has the help, which is a
# guide itself, and the words in reasons.rs are in the generated table (test-docs.sh).
same_messages() {
	local files missing

	mapfile -t files < <(printf '%s\n' "$top"/tools/rlp/src/{,*/}*.rs |
		grep -vE '/(cli|reasons)\.rs$|_tests\.rs$')
	(($(rlp_texts "${files[@]}" | sort -u | wc -l) > 200)) || {
		echo "there must be more texts than these: $(rlp_texts "${files[@]}")"
		return 1
	}
	missing=$(not_in "$top/Documentation/operating.rst" "${files[@]}")
	echo "$missing"
	[[ ! $missing ]]
}

# A text that no guide has is noticed, whatever it is used for.
missing_messages_are_noticed() {
	local source form

	source=$(out_dir)/test-rlp-spoilt.rs
	mkdir -p "${source%/*}"
	for form in 'failure.why("a text that no guide has")' \
		'change.note(format!("a text that {name} has"))' \
		'refused("a text that no guide has".to_owned())' '.next("a text \
			 that no guide has")' 'booted.lines.push("a text that no guide has")' \
		'(Kind::Idle, _) => "a text that no guide has",' \
		'let _ = writeln!(text, "  a text that {} has", x);'; do
		echo "$form" >"$source"
		[[ $(not_in "$top/Documentation/operating.rst" "$source") == *"a text that"* ]] || {
			echo "not noticed: $form"
			return 1
		}
	done
}

result "its own tests" cargo_tests
result "clippy" "$scripts/root/cargo-tools" clippy --release --quiet --all-targets \
	-p durable -p rlp -- -D warnings
result "licences of the crates" licences
result "a licence that is not compatible is noticed" wrong_licences_are_noticed
result "the programs use their crates with the same features" same_features
result "the unit of the boot" units
result "the guides have every message" same_messages
result "a message that the guide lacks is noticed" missing_messages_are_noticed
exit $rc
