# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034 # rc is used by the scripts that source this
#
# Print a TAP line for each command that must succeed. Sourced: the script sets $suite to the name
# of what it tests, and exits with $rc.

suite='' # set by the script that sources this file
rc=0

# result NAME COMMAND...: run the command and print its TAP line. If it fails, print the end of its
# output too.
result() {
	local name=$1 output
	shift

	if output=$("$@" 2>&1 </dev/null); then
		echo "ok - $suite $name"
	else
		[[ ! $output ]] || tail -n 40 <<<"$output" | sed 's/^/# /'
		echo "not ok - $suite $name"
		rc=1
	fi
}
