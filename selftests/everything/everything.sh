# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Functions for the tests that replace any functions by stubs (everything.h), on top of
# ../transition/moves.sh.

# shellcheck disable=SC1091
. "$(dirname "${BASH_SOURCE[0]}")/../transition/moves.sh"

# called MODULE [PATTERN]: print how many functions were called, of those whose names match.
called() {
	awk -v pattern="^(${2:-.*})$" '$1 > 0 && $2 ~ pattern { n++ } END { print n + 0 }' "/proc/$1"
}

# expect_called MODULE NAME...: each of these functions must have been called through its stub.
expect_called() {
	local module=$1 name
	shift

	for name; do
		(($(called "$module" "$name"))) || fail "the stub of $name was not called"
	done
}

# One round of operations that use many parts of the kernel: processes, pipes, files, signals.
exercise() {
	local dir
	dir=$(mktemp -d)
	mkdir "$dir/a" && echo text >"$dir/a/file" && ln -s a/file "$dir/link" &&
		ln "$dir/a/file" "$dir/hard" && mv "$dir/hard" "$dir/moved" &&
		[[ $(cat "$dir/link" | tr a-z A-Z | sort) == TEXT ]] && chmod 600 "$dir/moved" &&
		truncate -s 100K "$dir/moved" && sync "$dir/moved" && ls -l "$dir" >/dev/null &&
		[[ $(stat -c %s "$dir/moved") == 102400 ]] && timeout 5 sleep 0.01 &&
		rm -r "$dir" && [[ ! -e $dir ]] && cat /proc/self/{maps,status,mountinfo} >/dev/null
}
