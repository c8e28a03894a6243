#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Check that make reports clearly what is wrong with the machine or the kernel, fails, and leaves
# nothing incomplete behind. Each case provokes one error with a stub that is first in PATH, or with
# a made-up kernel tree. Prints TAP; needs asroot.

set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd -P)
tmp=$(mktemp -d -p "${CACHE_DIR:-/tmp}")
trap 'umount "$tmp/small" 2>/dev/null || true; rm -rf --one-file-system "$tmp"' EXIT
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES MAKEVARS KDIR T
number=0 failed=0

# stub NAME SHELL-CODE: put a program with this code into the case's PATH.
stub() {
	printf '#!/bin/sh\n%s\n' "$2" >"$tmp/bin/$1"
	chmod +x "$tmp/bin/$1"
}

new_case() {
	rm -rf "${tmp:?}"/{bin,cache,tree}
	mkdir "$tmp/bin"
	# The cases must not depend on how full this disk is.
	stub df 'echo Avail; echo 1000000'
}

# expect NAME PATTERN COMMAND...: the command must fail with an error message that matches PATTERN,
# and leave nothing incomplete behind.
expect() {
	local name=$1 pattern=$2 output status=0
	shift 2

	output=$(PATH=$tmp/bin:$PATH "$@" 2>&1 </dev/null) || status=$?
	number=$((number + 1))
	if ((status == 0)); then
		output+=$'\n(it exited with 0)'
	elif ! grep -q "^error: .*$pattern" <<<"$output"; then
		output+=$'\n(no error matches: '$pattern')'
	elif compgen -G "$tmp/*/root/*" >/dev/null || compgen -G "$tmp/*/out/*" >/dev/null; then
		output+=$'\n(it left something incomplete behind)'
	else
		echo "ok $number errors: $name"
		return
	fi
	echo "# ${output//$'\n'/$'\n'# }"
	echo "not ok $number errors: $name"
	failed=1
}

# kernel_tree CONFIG-LINE...: make a kernel tree with only the files that are checked before a
# build.
kernel_tree() {
	mkdir "$tmp/tree"
	: >"$tmp/tree/Makefile"
	printf '%s\n' "$@" 'CONFIG_RUSTC_VERSION_TEXT="rustc 1.2.3 (here)"' \
		CONFIG_DYNAMIC_FTRACE_WITH_ARGS=y >"$tmp/tree/.config"
	printf 'CONFIG_%s=y\n' KALLSYMS_ALL MODULES MODULE_UNLOAD TRACEPOINTS \
		TASKS_RCU SYSFS SMP >>"$tmp/tree/.config"
}

make_here() {
	make --no-print-directory -C "$top" CACHE_DIR="$tmp/cache" "$@"
}
export -f make_here
export tmp top
rust=$'CONFIG_RUST=y\nCONFIG_KPROBES=y'
stacks=$'CONFIG_HAVE_RELIABLE_STACKTRACE=y\nCONFIG_UNWINDER_ORC=y'

new_case
stub uname 'echo aarch64'
expect "wrong architecture" "only x86_64" make_here

new_case
stub id 'echo 1000'
stub unshare 'exit 1'
stub sudo 'exit 1'
expect "neither root nor namespaces" \
	"root is needed, and neither sudo nor user namespaces are available" make_here

new_case
rm "$tmp/bin/df"
mkdir "$tmp/small"
mount -t tmpfs -o size=16m tmpfs "$tmp/small"
expect "disk too small" "not enough disk space" make_here CACHE_DIR="$tmp/small"

new_case
expect "a path that kbuild cannot take" "a path with spaces" make_here CACHE_DIR="$tmp/a:b"

new_case
expect "no network on the first run" "needs the network" \
	unshare --net bash -c 'make_here SUITE=trixie'

new_case
expect "KDIR is no kernel tree" "not a kernel tree" make_here KDIR="$tmp/none"

new_case
kernel_tree "$stacks"
expect "kernel without Rust" "CONFIG_RUST is not set" make_here KDIR="$tmp/tree"

new_case
kernel_tree "$rust"
expect "kernel without reliable stacks" "no reliable stack traces" make_here KDIR="$tmp/tree"

new_case
kernel_tree "CONFIG_RUST=y" "$stacks"
expect "kernel without kprobes" "needs CONFIG_KPROBES" make_here KDIR="$tmp/tree"

new_case
kernel_tree "$rust" "$stacks" CONFIG_TRIM_UNUSED_KSYMS=y
expect "kernel that exports little" "CONFIG_TRIM_UNUSED_KSYMS is set" make_here KDIR="$tmp/tree"

new_case
kernel_tree "$rust" "$stacks"
stub rustc 'echo "rustc 1.2.4 (there)"'
expect "another rustc" \
	"rustc does not match the kernel: .* \"rustc 1.2.3 (here)\", .* \"rustc 1.2.4 (there)\"" \
	make_here KDIR="$tmp/tree"

new_case
kernel_tree "$rust" "$stacks"
stub rustc 'exit 127'
expect "no rustc" "rustc does not match the kernel: .* \"rustc 1.2.3 (here)\", .* \"no rustc\"" \
	make_here KDIR="$tmp/tree"

new_case
kernel_tree "$rust" "$stacks"
stub rustc 'echo "rustc 1.2.3 (here)"'
expect "tree not prepared" "not prepared for Rust modules" make_here KDIR="$tmp/tree"

exit $failed
