# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Read the list of tests, TESTS. For run.sh and for the scripts that choose tests on the host.

selftests_dir=$(realpath "$(dirname "${BASH_SOURCE[0]}")/..")

# test_files [debug]: the files of the tests in TESTS, relative to the folder of TESTS, in that
# order; those in debug/ only if asked for.
test_files() {
	sed -E 's/[[:space:]]*(#.*)?$//; /^$/d; s|/|/test-|; s|$|.sh|' "$selftests_dir/TESTS" |
		if [[ ${1:-} == debug ]]; then cat; else grep -v '^debug/'; fi
}

# test_name FILE: the name under which a test file is run and reported.
test_name() {
	local name

	name=$(basename "$1" .sh)
	echo "${name#test-}"
}

# check_list: fail, and print why, unless each line of TESTS has its file, each test file its
# line, and each test a name of its own.
check_list() {
	local files

	files=$(cd "$selftests_dir" && compgen -G '*/test-*.sh' | LC_ALL=C sort)
	diff <(test_files debug | LC_ALL=C sort) <(echo "$files") |
		sed -n 's/^< \(.*\)/TESTS lists \1, which does not exist/p
			s/^> \(.*\)/\1 is not listed in TESTS/p' | grep . && return 1
	sed 's|.*/||' <<<"$files" | sort | uniq -d | sed 's/$/ exists in two rooms/' | grep . && return 1
	return 0
}
