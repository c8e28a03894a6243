#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What watches the kernel still does, after all the tests: lockdep, kmemleak and KCSAN end for
# good when something goes wrong with them. (If objects are not tracked any more, the log says
# so, and the test of that moment is red.)

set -e
. "$(dirname "$0")/../lib.sh"
debug=/sys/kernel/debug
watching=0

# Without the file the kernel has not got it, which is for test-debug-options.sh to find.
watches() { # FILE PATTERN WHAT
	[[ -e $1 ]] || return 0
	grep -qE "$2" "$1" || fail "$3 has ended: $(head -n 20 "$1")"
	watching=$((watching + 1))
	echo "# $3 watches"
}

watches /proc/lockdep_stats '^ *debug_locks: +1$' lockdep
watches $debug/kcsan '^enabled: 1$' KCSAN
if [[ -e $debug/kmemleak ]]; then
	echo scan >$debug/kmemleak || fail "kmemleak has ended"
	watching=$((watching + 1))
	echo "# kmemleak watches"
fi
((watching)) || skip "nothing watches this kernel"
