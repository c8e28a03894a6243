#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Test the program that draws mutants for "make mutants", on small sources and on the loader's own,
# and the order of the tests. No mutant is built here. Prints a TAP line for each test.

. "$(dirname "$0")/../lib/env.sh"
. "$scripts/lib/parts.sh"
. "$scripts/lib/mutants.sh"
. "$scripts/lib/mutant-tests.sh"
. "$scripts/lib/tap.sh"
suite=mutants
log=$CACHE_DIR/log/$checkout-test-mutants.log
mkdir -p "${log%/*}"
lock "mutants-program-$checkout"

# A name in selftests/mutants/ORDER must be that of a test, and no test may be run twice.
order_is_one_of_tests() {
	local known named

	known=$({
		test_files | sed 's|.*/test-||; s|\.sh$||'
		sed -n 's/^name = "\(.*\)"/\1/p' "$top/selftests/host/Cargo.toml"
	} | LC_ALL=C sort)
	named=$(for kind in host first rest last alone out; do order "$kind"; done | LC_ALL=C sort)
	[[ ! $(uniq -d <<<"$named") ]] || { uniq -d <<<"$named" && return 1; }
	[[ ! $(LC_ALL=C comm -13 <(echo "$known") <(echo "$named")) ]] ||
		{ LC_ALL=C comm -13 <(echo "$known") <(echo "$named") && return 1; }
	(($(guests | head -n 1 | wc -w) > 30))
}

result "the order names each test once" order_is_one_of_tests
mutants_cargo test --no-fail-fast >"$log" 2>&1 </dev/null || rc=$?
# "test module::name ... ok"
sed -n -E 's/^test (.*) \.\.\. ok$/ok - mutants \1/p
	s/^test (.*) \.\.\. FAILED$/not ok - mutants \1/p' "$log"
grep -q '^test result: ' "$log" || rc=1
if ((rc)); then
	sed 's/^/# /' "$log"
	grep -q FAILED "$log" || echo "not ok - mutants: the tests ended with status $rc"
fi
exit "$rc"
