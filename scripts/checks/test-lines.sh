#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Check that no line has more than 100 columns (a tab goes to the next multiple of 8). Prints TAP.
# These may be longer:
#
#	code with a string of 60 columns or more, since messages and patterns are not broken
#	Rust code, which rustfmt breaks; comments are checked
#	in documents: tables, terms of lists that are messages (``...``), and blockers as rlp prints
#		them: "COMM (PID): ..."
#	lines that a program reads: "# expect-log:" in tests, SOURCE and WITHOUT in litmus tests
#	JSON, the licence, and Cargo.lock

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
			next if $ARGV =~ /\.rs$/ || $ARGV =~ /\.litmus$/ && /\/\/ WITHOUT /;
			my $string = 0;
			while (/(["\x27])((?:(?!\1)[^\\]|\\.)*)(?:\1|$)/g) {
				$string = length($2) if length($2) > $string;
			}
			next if $string >= 60;
		}
		print "$ARGV:$.: ", length($columns), " columns: $_\n";
	} continue {
		close ARGV if eof;
	' "$@"
}

no_long_lines() {
	local files found

	mapfile -d '' files < <(find "$top" -path "$CACHE_DIR" -prune -o \
		-path "$top/build" -prune -o -name .git -prune -o \
		-type f ! -name '*.json' ! -name Cargo.lock ! -name COPYING -print0)
	found=$(long_lines "${files[@]}")
	[[ ! $found ]] || {
		sed "s,^$top/,," <<<"$found"
		return 1
	}
}

result "no line is longer than 100 columns" no_long_lines
exit $rc
