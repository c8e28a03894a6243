#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout: 3000
#
# Run the kernel's own livepatch selftests, unmodified, with one of two loaders.
# run.sh runs this script; see README.rst. Environment variables, which the guest
# sets from the kernel's command line:
#
#	RLP_LOADER=LOADER	ours (default) or intree
#	RLP_BREAK=MODULE	load this module first: it breaks this loader on purpose
#	RLP_LOADER_DEBUG=N	this loader logs no debug lines, on purpose
#	RLP_SCRIPTS=SCRIPT,...	run only these scripts of the suite (default: all)
#	RLP_UPSTREAM=FOLDER	the output of scripts/kernel/build-upstream (default: /upstream)
#
# Prints one line "case: RESULT SCRIPT: NAME" for each case. RESULT is ok, failed or
# missed.

here=$(cd "$(dirname "$0")" && pwd)
loader=${RLP_LOADER:-ours}
suite=${RLP_UPSTREAM:-/upstream}/$loader
modules=${RLP_MODULES:-/modules}
status=0

die() {
	echo "# $*"
	exit 1
}

[[ -d $suite ]] || { echo "1..0 # SKIP the kernel has no livepatch to compare with"; exit 4; }
cd "$suite" || exit 1

if [[ $loader == ours ]]; then
	if [[ -d /sys/module/rust_livepatch && ! -e /sys/module/rust_livepatch/refcnt ]]; then
		echo "${RLP_LOADER_DEBUG:-Y}" >/sys/module/rust_livepatch/parameters/debug
	else
		[[ ! -d /sys/module/rust_livepatch ]] || rmmod rust_livepatch
		insmod "$modules/rust_livepatch.ko" debug="${RLP_LOADER_DEBUG:-Y}" ||
			die "cannot load the loader"
	fi
	if [[ ${RLP_BREAK:-} ]]; then
		insmod "$modules/$RLP_BREAK.ko" || die "cannot load $RLP_BREAK"
		until [[ $(cat "/sys/kernel/livepatch/$RLP_BREAK/transition") == 0 ]]; do
			sleep 0.1
		done
	fi
	mount --bind /sys/kernel/rust_livepatch /sys/kernel/livepatch ||
		die "cannot mount the loader's directory over /sys/kernel/livepatch"
	trap 'umount /sys/kernel/livepatch' EXIT
	PATH=$here/bin:$PATH
fi

# The scripts require that KDIR is a directory, to compile modules with it. All modules are
# built already, so any directory will do.
export KDIR=/

# report SCRIPT OUTPUT: print the cases of a script with their results. OUTPUT is the file
# with the output of the script.
report() {
	local script=$1 output=$2

	sed -n 's/^[[:space:]]*start_test "\(.*\)"$/\1/p' "$script" | while read -r name; do
		if grep -qxF "TEST: $name ... ok" "$output"; then
			echo "case: ok $script: $name"
		elif grep -qF "TEST: $name ... " "$output"; then
			echo "case: failed $script: $name"
		else
			echo "case: missed $script: $name"
		fi
	done
}

scripts=(test-*.sh)
[[ ! ${RLP_SCRIPTS:-} ]] || IFS=, read -ra scripts <<<"$RLP_SCRIPTS"
for script in "${scripts[@]}"; do
	output=$(mktemp)
	timeout -k 5 $((900 * ${RLP_SLOW:-1})) "./$script" >"$output" 2>&1 || {
		echo "# $script ended with status $?"
		sed 's/^/#   /' "$output"
		status=1
		# Clean up after a script that failed, so that the next script is not affected.
		echo nop >/sys/kernel/tracing/current_tracer
		echo >/sys/kernel/tracing/set_ftrace_filter
		for enabled in /sys/kernel/livepatch/*/enabled; do
			[[ ! -e $enabled ]] || echo 0 >"$enabled"
		done
		for ((i = 0; i < 30; i++)); do
			mapfile -t left < <(lsmod | awk '/^test_klp/ { print $1 }')
			((${#left[@]})) || break
			rmmod "${left[@]}" 2>/dev/null || sleep 1
		done
	}
	report "$script" "$output"
	rm -f "$output"
done
exit $status
