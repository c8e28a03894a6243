# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Settings and the few functions that every script here shares. To be sourced.

set -euo pipefail

# Options given to our make are not meant for the kernel's make; those that
# are arrive in MAKEVARS.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
scripts=$top/scripts

# chroot and its like are not in the PATH of an ordinary user.
export PATH=$PATH:/usr/sbin:/sbin

export SUITE=${SUITE:-trixie}
export FLAVOUR=${FLAVOUR:-amd64}
export KDIR=${KDIR:-} MIRROR=${MIRROR:-} MAKEVARS=${MAKEVARS:-}
# The folder of a user's patch is looked for from where make was called, which is here.
export PATCH=${PATCH:+$(realpath -m "$PATCH")}
CACHE_DIR=$(cd "$top" && realpath -m "${CACHE_DIR:-build}")
export CACHE_DIR

# One build root per list of packages; one prepared kernel per flavour, found
# through a link that is made when all of it is complete.
root=$CACHE_DIR/root/$SUITE-$(sha256sum <"$scripts/root/${PACKAGES:-packages}" | cut -c1-8)
kernel_link=$CACHE_DIR/kernel/$(basename "$root")-$FLAVOUR
if [[ $KDIR ]]; then
	kernel=$(realpath -m "$KDIR")
else
	kernel=$(realpath -m "$kernel_link")
fi

# Several checkouts may share CACHE_DIR: what is built from one has its own place.
checkout=$(basename "$top")-$(printf %s "$top" | sha256sum | cut -c1-8)

die() {
	printf 'error: %s\n' "$@" >&2
	exit 1
}

kernel_release() {
	cat "$kernel/include/config/kernel.release"
}

# Where everything made from this checkout for this kernel goes.
out_dir() {
	echo "$CACHE_DIR/out/$checkout/$(kernel_release)"
}

# What matters in a log: the first errors, else how it ended.
excerpt() {
	grep -E -A 12 '(^|: )(fatal )?(error|ERROR)\b' "$1" | head -n 60 | grep . || tail -n 30 "$1"
}

# step TEXT LOG COMMAND...: run a command with its output in a file, and say in
# one line what was done and how long it took. The command may be a function, in a shell of
# its own, which ends at the first failure like any script here (but not if step's own
# caller looks at its status: bash has no set -e there).
step() {
	local text=$1 log=$2 start=${EPOCHREALTIME/./} rc hint
	shift 2

	mkdir -p "$(dirname "$log")"
	printf '  %-56s' "$text"
	set +e
	(
		set -e
		"$@"
	) >"$log" 2>&1 </dev/null
	rc=$?
	set -e
	if ((rc == 0)); then
		awk -v us=$((${EPOCHREALTIME/./} - start)) 'BEGIN { printf "%7.1f s\n", us / 1e6 }'
		return
	fi
	printf ' FAILED\n'
	{
		excerpt "$log" | sed 's/^/    /'
		hint=$("$scripts/lib/explain" "$log")
		printf 'error: "%s" failed; all of its output is in %s\n' "$text" "$log"
		[[ ! $hint ]] || printf 'error: %s\n' "$hint"
	} >&2
	exit "$rc"
}

# lock NAME [--shared]: keep other makes that use the same CACHE_DIR out until we
# and all our children have ended.
lock() {
	local fd mode=${2:---exclusive}

	mkdir -p "$CACHE_DIR/lock"
	exec {fd}>"$CACHE_DIR/lock/$1"
	flock "$mode" --nonblock "$fd" && return
	echo "  waiting for another make that uses $CACHE_DIR"
	flock "$mode" "$fd"
}

# The stock kernel, and a tree below CACHE_DIR, are built with the build root's
# compilers; a user's own tree is built with the user's.
in_build_root() {
	[[ ! $KDIR || $kernel == "$CACHE_DIR"/* ]]
}

# tool COMMAND...: a compiler, make or one of binutils, of the build root where that is used:
# the machine itself need not have them then.
tool() {
	# shellcheck disable=SC2046 # a command or none
	$(in_build_root && echo "$scripts/root/inroot") "$@"
}

# What the kernel's make has to be given: what the user says, and the compiler's family.
kernel_vars() {
	echo "$MAKEVARS"
	[[ " $MAKEVARS " == *\ LLVM=* ]] || ! grep -qx CONFIG_CC_IS_CLANG=y "$kernel/.config" ||
		echo LLVM=1
}

# The source that a prepared tree was made from: it may be the tree itself.
kernel_source() {
	if [[ -e $kernel/source ]]; then
		realpath "$kernel/source"
	else
		echo "$kernel"
	fi
}

make_initramfs() {
	step "make the initramfs" "$CACHE_DIR/log/$checkout-initramfs.log" "$scripts/guest/make-initramfs"
}

# have_loader [VARIABLE=VALUE...]: from nothing to the modules, built with these variables.
have_loader() {
	"$scripts/root/check-host"
	lock use --shared
	"$scripts/root/setup"
	"$scripts/kernel/build-modules" "$@"
}

# have_guest [VARIABLE=VALUE...]: all that a guest is made of, a patch of the user's included.
have_guest() {
	have_loader "$@"
	[[ ! $PATCH ]] || "$scripts/patch" --built
	make_initramfs
}
