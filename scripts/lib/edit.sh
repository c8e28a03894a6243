# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Make source patches by editing copies of the fetched source. Sourced after env.sh.

test='' # a folder for the copies, set by the script that sources this file

# diff_of_edit FOLDER FILE SED-SCRIPT: run the sed script on a copy of FOLDER/FILE, and print the
# difference as a patch of FILE. The script must change something.
diff_of_edit() {
	local work=$test/edit a b

	a=$work/a/$2 b=$work/b/$2
	mkdir -p "${a%/*}" "${b%/*}"
	cp "$1/$2" "$a"
	sed -E "$3" "$a" >"$b"
	! cmp -s "$a" "$b" || die "the script for $2 changes nothing"
	(cd "$work" && diff -up "a/$2" "b/$2") || true
	rm -r "$work"
}
