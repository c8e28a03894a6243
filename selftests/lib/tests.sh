# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Read TESTS, the list of tests. For run.sh, and for the scripts on the host that choose tests.

selftests_dir=$(realpath "$(dirname "${BASH_SOURCE[0]}")/..")

# entries FILE: print the lines of a list, without comments and empty lines.
entries() {
	sed -E 's/[[:space:]]*(#.*)?$//; /^$/d' "$1"
}

# test_files [debug] [secureboot]: print the files of the tests in the order of TESTS, relative to
# its folder. Leave out the tests in debug/ and those in secureboot/, unless the folder is named.
test_files() {
	local room files

	files=$(entries "$selftests_dir/TESTS" | sed 's|/|/test-|; s|$|.sh|')
	for room in debug secureboot; do
		[[ " $* " == *" $room "* ]] || files=$(grep -v "^$room/" <<<"$files")
	done
	echo "$files"
}

# left_out FILE: print the reason why this machine's architecture leaves out the test. Fail if it
# does not.
left_out() {
	local list=$selftests_dir/arm64/LEFT-OUT entry

	[[ $(uname -m) == aarch64 ]] || return 1
	entry=${1%.sh}
	sed -nE "s|^${entry/\/test-//}[[:space:]]+# (.*)|\1|p" "$list" | grep .
}

# test_name FILE: print the name of the test, which is part of the name of its file.
test_name() {
	local name

	name=$(basename "$1" .sh)
	echo "${name#test-}"
}

# check_list: each line of TESTS must have a file, each test file a line, and no two tests may
# have the same name. A test may have one line "# guest: NAME" at most, and NAME must be
# waiting, quiet, built, alone or long (see scripts/lib/parts.sh), or confidentiality or kexec (see
# scripts/check-secureboot). Each line of a list LEFT-OUT must name a test and a reason. Each
# test, except those in debug/ and secureboot/, must be in one line of ibt/TESTS. If something is
# wrong, print it and fail.
check_list() {
	local files list

	files=$(cd "$selftests_dir" && compgen -G '*/test-*.sh' | LC_ALL=C sort)
	diff <(test_files debug secureboot | LC_ALL=C sort) <(echo "$files") |
		sed -n 's/^< \(.*\)/TESTS lists \1, which does not exist/p
			s/^> \(.*\)/\1 is not listed in TESTS/p' | grep . && return 1
	sed 's|.*/||' <<<"$files" | sort | uniq -d | sed 's/$/ exists in two rooms/' | grep . &&
		return 1
	(cd "$selftests_dir" && grep -H '^# guest:' $files) |
		grep -vE ':# guest: (waiting|quiet|built|alone|long|confidentiality|kexec)$' &&
		echo "there is no such guest" && return 1
	(cd "$selftests_dir" && grep -c '^# guest:' $files) | grep -v ':[01]$' |
		sed 's/:.*/ has two guests/' | grep . && return 1
	for list in {secureboot,arm64}/LEFT-OUT; do
		sed '/^#/d; /^$/d' "$selftests_dir/$list" |
			grep -vE '^[a-z-]+/[a-z-]+[[:space:]]+# .' &&
			echo "has no reason in $list" && return 1
		entries "$selftests_dir/$list" | sed 's|/|/test-|; s|$|.sh|' |
			grep -vxF "$files" &&
			echo "does not exist, and is in $list" && return 1
	done
	diff <(test_files | while IFS= read -r file; do test_name "$file"; done | LC_ALL=C sort) \
		<(sed -n 's/^[a-z].*: *//p' "$selftests_dir/ibt/TESTS" | tr ' ' '\n' |
			LC_ALL=C sort) |
		sed -n 's/^< \(.*\)/\1 is not in ibt\/TESTS/p
			s/^> \(.*\)/ibt\/TESTS has \1 twice, or it does not exist/p' | grep . &&
		return 1
	return 0
}
