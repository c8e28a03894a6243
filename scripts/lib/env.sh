# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Settings and functions that all scripts share. Sourced, not run.

set -euo pipefail

# Options of this tree's make must not reach the kernel's make. Variables for the kernel's make are
# in MAKEVARS.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
scripts=$top/scripts

# An ordinary user's PATH does not have chroot and similar programs.
export PATH=$PATH:/usr/sbin:/sbin

die() {
	printf 'error: %s\n' "$@" >&2
	exit 1
}

. "$scripts/lib/arch.sh"

export SUITE=${SUITE:-trixie}
export FLAVOUR=${FLAVOUR:-$arch}
export KDIR=${KDIR:-} MIRROR=${MIRROR:-} MAKEVARS=${MAKEVARS:-}
# A relative PATCH is relative to the folder that make was called in, which is the current one.
export PATCH=${PATCH:+$(realpath -m "$PATCH")}
CACHE_DIR=$(cd "$top" && realpath -m "${CACHE_DIR:-build}")
export CACHE_DIR

# The stock kernel is the newest one of the flavour, or that of KERNEL_RELEASE. DEBS is a folder
# with the packages of a kernel, which are used in place of the archive's. If KERNEL_RELEASE is not
# set, the name of a package there gives the release.
export DEBS=${DEBS:+$(realpath -m "$DEBS")}
if [[ $DEBS && ! ${KERNEL_RELEASE:-} ]]; then
	KERNEL_RELEASE=$(printf '%s\n' "$DEBS"/linux-binary-*.deb |
		sed -n '1s,.*/linux-binary-\([^_]*\)_.*,\1,p')
fi
export KERNEL_RELEASE=${KERNEL_RELEASE:-}

# Each list of packages has a build root of its own, and each kernel a prepared tree. The lists are
# those for the architecture, unless PACKAGES names another one. Another mirror may have other
# compilers and another newest kernel, so it has a root of its own, too. The link to a prepared
# kernel is made when the kernel is complete.
package_lists=("$scripts/root/${PACKAGES:-packages}") root_is_foreign=''
if [[ ! ${PACKAGES:-} && $arch_packages ]]; then
	package_lists+=("$scripts/root/$arch_packages")
	# shellcheck disable=SC2034 # used by make-root
	root_is_foreign=1
fi
root=$CACHE_DIR/root/$SUITE-$({
	cat "${package_lists[@]}"
	printf %s "$MIRROR"
} | sha256sum | cut -c1-8)
kernel_link=$CACHE_DIR/kernel/$(basename "$root")-${KERNEL_RELEASE:-$FLAVOUR}
# The folder with the fetched files of the kernel.
# shellcheck disable=SC2034 # used by scripts that source this file
fetched=$CACHE_DIR/fetch/$SUITE-${KERNEL_RELEASE:-$FLAVOUR}
[[ ! $MIRROR ]] || fetched+=-$(printf %s "$MIRROR" | sha256sum | cut -c1-8)
if [[ $KDIR ]]; then
	kernel=$(realpath -m "$KDIR")
else
	kernel=$(realpath -m "$kernel_link")
fi

# Several checkouts may share CACHE_DIR. Each builds into a folder of its own.
checkout=$(basename "$top")-$(printf %s "$top" | sha256sum | cut -c1-8)

kernel_release() {
	cat "$kernel/include/config/kernel.release"
}

# Print the folder for everything that is made from this checkout for this kernel.
out_dir() {
	echo "$CACHE_DIR/out/$checkout/$(kernel_release)"
}

# Print the folder of the programs for users that are made from this checkout (scripts/programs).
programs_dir() {
	echo "$CACHE_DIR/out/$checkout/programs${cross:+-$arch}"
}

# excerpt LOG: print the first errors in the log, or its end if it has none.
excerpt() {
	grep -E -A 12 '(^|: )(fatal )?(error|ERROR)\b' "$1" | head -n 60 | grep . || tail -n 30 "$1"
}

# step TEXT LOG COMMAND...: run a command with its output in LOG, and print one line: TEXT and the
# time that the command took. The command may be a shell function. It runs in a subshell with
# set -e, and ends at the first failure like any script here. This does not hold if the caller tests
# the status of step: bash ignores set -e then.
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

# lock NAME [--shared]: take a lock in CACHE_DIR, and hold it until this script and all of its
# children have exited. If another make holds the lock, wait for it.
lock() {
	local fd mode=${2:---exclusive}

	mkdir -p "$CACHE_DIR/lock"
	exec {fd}>"$CACHE_DIR/lock/$1"
	flock "$mode" --nonblock "$fd" && return
	echo "  waiting for another make that uses $CACHE_DIR"
	flock "$mode" "$fd"
}

# Modules for the stock kernel, or for a tree below CACHE_DIR, are built with the build root's
# compilers. Modules for a user's own tree are built with the user's compilers.
uses_build_root() {
	[[ ! $KDIR || $kernel == "$CACHE_DIR"/* ]]
}

# tool COMMAND...: run a compiler, make or a program of binutils. If the build root is used, the
# program is the build root's, and the machine itself need not have it.
tool() {
	# shellcheck disable=SC2046 # a command or nothing
	$(uses_build_root && echo "$scripts/root/inroot") "$@"
}

# Print the variables for the kernel's make: those of the architecture, the user's, and LLVM=1 if
# the kernel was built by clang.
kernel_vars() {
	echo "$arch_vars $MAKEVARS"
	[[ " $MAKEVARS " == *\ LLVM=* ]] || ! grep -qx CONFIG_CC_IS_CLANG=y "$kernel/.config" ||
		echo LLVM=1
}

# Print the source that a prepared tree was made from. It may be the tree itself.
kernel_source() {
	if [[ -e $kernel/source ]]; then
		realpath "$kernel/source"
	else
		echo "$kernel"
	fi
}

# With SECUREBOOT=1, guests boot from the disk that is made here.
make_initramfs() {
	step "make the initramfs" "$CACHE_DIR/log/$checkout-initramfs.log" \
		"$scripts/guest/make-initramfs"
	[[ ! ${SECUREBOOT:-} ]] || make_secureboot_disk
}

make_secureboot_disk() {
	"$scripts/root/with-list" packages-secureboot >/dev/null
	step "sign the modules, and make the disk for Secure Boot" \
		"$CACHE_DIR/log/$checkout-secureboot-disk.log" "$scripts/guest/secureboot-disk"
}

# Make the disk of the guests with Debian, and the initramfs that copies files to it.
make_system() {
	lock "system-$checkout-$(kernel_release)"
	step "make the initramfs for the disk" "$CACHE_DIR/log/$checkout-system.log" \
		"$scripts/guest/system-initramfs"
	"$scripts/guest/system-disk" >/dev/null
}

# make_loader [VARIABLE=VALUE...]: build the modules with these variables of make. The build root
# and the kernel are made first if they are missing.
make_loader() {
	"$scripts/root/check-host"
	lock use --shared
	"$scripts/root/setup"
	"$scripts/kernel/build-modules" "$@"
}

# install_below FOLDER: install the loader and the programs that are built, for another script. The
# variables that choose the user's folders have no effect, and nothing is printed.
install_below() {
	env -u prefix -u moddir -u bindir DESTDIR="$1" "$scripts/install" >/dev/null
}

# make_guest [VARIABLE=VALUE...]: make everything that a guest boots with. This includes the user's
# patch in PATCH.
make_guest() {
	make_loader "$@"
	[[ ! $PATCH ]] || "$scripts/patch" --built
	make_initramfs
}
