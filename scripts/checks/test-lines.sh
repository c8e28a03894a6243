#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Check each line of the tree. Prints TAP.
#
# No line has more than 100 columns (a tab goes to the next multiple of 8). These may be longer:
#
#	code with a string of 60 columns or more, since messages and patterns are not broken
#	in Rust, only a string without a space, a message of the loader (a message of the kernel is
#		on one line, for grep), and a row of the table of these messages in rlp. A "\" can
#		break any other string
#	in documents: tables, terms of lists that are messages (``...``), and blockers as rlp prints
#		them: "COMM (PID): ..."
#	lines that a program reads: "# expect-log:" in tests, SOURCE and WITHOUT in litmus tests
#	JSON, snapshots of output, the licence, and Cargo.lock
#
# No sentence of a comment or a document begins with "What", "Who" or "Which", or such a word with
# "ever", unless it is a question or the title of a section. The subject of a sentence is a noun.
# The lists of packages are exempt: a changed comment in such a list makes a new build root.

. "$(dirname "$0")/../lib/env.sh"
. "$scripts/lib/tap.sh"
suite=lines

# long_lines FILE...: print each line that is too long.
long_lines() {
	perl -CSD -ne '
		chomp;
		my $columns = $_;
		1 while $columns =~ s/^([^\t]*)\t/$1 . " " x (8 - length($1) % 8)/e;
		next if length($columns) <= 100;
		if ($ARGV =~ /\.(md|rst)$/) {
			next if /^ *[|+=]/ || / \| / || /^``/ || /^ +\w+ \(\d+\): /;
		} elsif (/^\s*(#|\/\/|\/?\*)/) {
			next if /^# expect-log: / || /^ \* SOURCE /;
		} else {
			next if $ARGV =~ /\.litmus$/ && /\/\/ WITHOUT /;
			my $rust = $ARGV =~ /\.rs$/;
			# A row of this table is a line, and a script reads it.
			next if $ARGV =~ m{/tools/rlp/src/reasons\.rs$};
			next if $rust && $ARGV =~ m{/rust/} && /^\s*".*\\n",$/;
			my $string = 0;
			while (/(["\x27])((?:(?!\1)[^\\]|\\.)*)(?:\1|$)/g) {
				next if $rust && index($2, " ") >= 0;
				$string = length($2) if length($2) > $string;
			}
			next if $string >= 60;
		}
		print "$ARGV:$.: ", length($columns), " columns: $_\n";
	} continue {
		close ARGV if eof;
	' "$@"
}

# sentences_without_noun FILE...: print the first line of each sentence with another subject.
sentences_without_noun() {
	perl -CSD -0777 -ne '
		my $document = $ARGV =~ /\.(md|rst)$/;
		my $underline = qr/^([=~*^-])\1{2,}$/;
		my $begin = qr/(?:^|[.?!:]["\x60)]* +)/;
		my @lines = split /\n/;

		# The prose of each line. It is empty for lines of code and titles.
		my @prose = map {
			my $line = $lines[$_];
			if ($document) {
				$line = "" if $line =~ /^#/ || ($lines[$_ + 1] // "") =~ $underline;
				$line =~ s/^\s*(?:(?:[-*>]|\d+\.)\s+)?//;
			} elsif ($line !~ s{^\s*(?://[/!]?|/?\*+|#+)\s+}{}) {
				$line = "" unless $line =~ s{^.*[;,\{\}()] (?://|/\*) }{};
			}
			$line
		} 0 .. $#lines;

		for my $nr (0 .. $#prose) {
			while ($prose[$nr] =~ /$begin(?=((?:What|Who|Which)(?:ever)? .*))/g) {
				my $sentence = $1;
				# A sentence may end on a later line of its paragraph.
				for my $next ($nr + 1 .. $#prose) {
					last if $sentence =~ /[.?!](\W|$)/ || $prose[$next] eq "";
					$sentence .= " $prose[$next]";
				}
				print "$ARGV:", $nr + 1, ": $lines[$nr]\n"
					if $sentence !~ /^[^.!]*\?/;
			}
		}
	' "$@"
}

# lines_pass CHECK [EXEMPT]: CHECK must print no line of any file, except of files whose path begins
# with EXEMPT, which is a pattern.
lines_pass() {
	local files found

	mapfile -d '' files < <(find "$top" -path "$CACHE_DIR" -prune -o \
		-path "$top/build" -prune -o -name .git -prune -o \
		-type f ! -name '*.json' ! -name '*.snap' ! -name Cargo.lock ! -name COPYING \
		-print0)
	found=$("$1" "${files[@]}" | sed "s,^$top/,," | grep -vE "^(${2:-:})")
	[[ ! $found ]] || {
		echo "$found"
		return 1
	}
}

result "no line is longer than 100 columns" lines_pass long_lines
result "each sentence has a noun as its subject" \
	lines_pass sentences_without_noun scripts/root/packages
exit $rc
