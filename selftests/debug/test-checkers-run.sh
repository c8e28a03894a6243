#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# After all the tests, the kernel's checkers still run. lockdep, kmemleak and KCSAN turn
# themselves off for good when something goes wrong with them. (If the tracking of objects
# stops, the kernel logs this, and the test that runs at that time fails.)

set -e
. "$(dirname "$0")/../lib/common.sh"
debug=/sys/kernel/debug
running=0

# A checker whose file does not exist is not in this kernel. test-debug-options.sh fails if the
# kernel lacks a requested checker.
still_runs() { # FILE PATTERN CHECKER
	[[ -e $1 ]] || return 0
	grep -qE "$2" "$1" || fail "$3 has turned itself off: $(head -n 20 "$1")"
	running=$((running + 1))
	echo "# $3 still runs"
}

still_runs /proc/lockdep_stats '^ *debug_locks: +1$' lockdep
still_runs $debug/kcsan '^enabled: 1$' KCSAN
if [[ -e $debug/kmemleak ]]; then
	echo scan >$debug/kmemleak || fail "kmemleak has turned itself off"
	running=$((running + 1))
	echo "# kmemleak still runs"
fi
((running)) || skip "this kernel has none of these checkers"
