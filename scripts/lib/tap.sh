# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034 # rc is for whoever sources this
#
# A TAP line for each command that is to succeed. To be sourced; whoever does says in
# $suite what it tests, and exits with $rc.

suite='' # the caller's to set
rc=0

# result NAME COMMAND...: what it said last is shown if it fails.
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
