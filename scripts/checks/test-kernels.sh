#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Check which kernel is used: the newest one, one that is named by its release, one from a folder of
# packages (DEBS). The packages are made here, and are fetched into a cache of this test.

. "$(dirname "$0")/../lib/env.sh"
. "$scripts/lib/tap.sh"
suite=kernels
test=$(out_dir)/test-kernels
cache=$test/cache
release=9.8.7+test-amd64
version='1:9.8.7-1~test'

uses_build_root || {
	echo "ok - kernels # SKIP with KDIR= no kernel is fetched"
	exit 0
}

# package NAME FILE...: make a package of these files, which are below $test/files.
package() {
	local name=$1 file
	shift

	rm -rf "$test/package"
	mkdir -p "$test/package/DEBIAN"
	printf '%s\n' "Package: $name" "Version: $version" "Architecture: amd64" \
		"Maintainer: nobody <nobody@example.org>" \
		"Description: a test" >"$test/package/DEBIAN/control"
	for file; do
		mkdir -p "$test/package/${file%/*}"
		cp "$test/files/$file" "$test/package/$file"
	done
	tool dpkg-deb --root-owner-group -b "$test/package" \
		"$test/debs/${name}_${version//:/%3a}_amd64.deb" >/dev/null
}

make_file() { # PATH TEXT
	mkdir -p "$test/files/${1%/*}"
	echo "$2" >"$test/files/$1"
}

# in_cache VARIABLE=VALUE... SCRIPT: run a script with the cache of this test.
in_cache() {
	env -u KDIR CACHE_DIR="$cache" MIRROR= DEBS= KERNEL_RELEASE= "$@"
}

# has RECORD FILE TEXT: in the folder of the fetched kernel RECORD, FILE must contain this text.
has() {
	[[ $(<"$cache/fetch/$SUITE-$1/$2") == "$3" ]]
}

# expand VARIABLE=VALUE... TEXT: print TEXT, in which the shell expands the variables of env.sh.
expand() {
	in_cache "${@:1:$#-1}" bash -c ". '$scripts/lib/env.sh'; echo \"${*: -1}\""
}

says() { # TEXT COMMAND...: the command fails, and says this
	local text=$1 output
	shift

	! output=$("$@" 2>&1) || return
	echo "$output"
	grep -qF -- "$text" <<<"$output"
}

rm -rf "$test"
mkdir -p "$test/debs" "$cache"/{root,fetch,kernel,source,shipped,log,lock}
ln -s "$root" "$cache/root/"
make_file "usr/src/linux-headers-$release/.config" "CONFIG_TEST=y"
make_file "usr/src/linux-headers-$release/Module.symvers" "symbols"
make_file "usr/lib/modules/$release/vmlinuz" "an image"
make_file "usr/lib/modules/$release/kernel/x.ko" "a module"
mkdir -p "$test/linux/kernel" "$test/files/usr/src"
echo "a makefile" >"$test/linux/Makefile"
tool tar -C "$test" -cJf "$test/files/usr/src/linux-source-9.8.tar.xz" linux
package "linux-headers-$release" "usr/src/linux-headers-$release/.config" \
	"usr/src/linux-headers-$release/Module.symvers"
package "linux-binary-$release" "usr/lib/modules/$release/vmlinuz"
package "linux-modules-$release" "usr/lib/modules/$release/kernel/x.ko"
package linux-source-9.8 usr/src/linux-source-9.8.tar.xz

result "a kernel is fetched from a folder" in_cache DEBS="$test/debs" "$scripts/kernel/fetch"
for what in "release=$release" "version=$version" ".config=CONFIG_TEST=y" "Module.symvers=symbols" \
	"vmlinuz=an image"; do
	result "its ${what%%=*} is there" has "$release" "${what%%=*}" "${what#*=}"
done
result "its source is there" test -s "$cache/source/$version/Makefile"
modules() {
	local folder

	folder=$(in_cache DEBS="$test/debs" "$scripts/kernel/fetch-modules") &&
		[[ $(<"$folder/kernel/x.ko") == "a module" ]]
}
result "its modules are there" modules

# From here on, the folder of packages is not needed.
result "a kernel that was fetched is used again" \
	in_cache KERNEL_RELEASE="$release" "$scripts/kernel/fetch"
result "it has the same version" has "$release" version "$version"
mv "$cache/fetch/$SUITE-$release" "$cache/fetch/$SUITE-$FLAVOUR"
result "a kernel that was the newest is used by its release" \
	in_cache KERNEL_RELEASE="$release" "$scripts/kernel/fetch"
result "its image is there" has "$release" vmlinuz "an image"
result "the record of the newest kernel stays" has "$FLAVOUR" release "$release"

rm "$test/debs"/linux-source-*
rm -r "$cache/source/$version" "$cache/fetch/$SUITE-$release"
result "a missing package is named" says "has no linux-source-9.8 of version $version" \
	in_cache DEBS="$test/debs" "$scripts/kernel/fetch"
result "nothing is left of it" test ! -e "$cache/fetch/$SUITE-$release"
result "a folder without a kernel is refused" says "has no package linux-binary-RELEASE" \
	in_cache DEBS="$test/none" "$scripts/kernel/fetch"

# Another kernel must use the same build root. It must have its own link to a prepared tree
# ($kernel_link) and its own folder of fetched files ($fetched). With another mirror, or another
# architecture, all three must differ.
same_place() {
	local newest other mirror foreign path

	newest=$(expand '$root $kernel_link $fetched')
	[[ $newest == "$cache/root/${root##*/} $cache/kernel/${root##*/}-$FLAVOUR $cache/fetch/$SUITE-$FLAVOUR" ]] || return
	other=$(expand KERNEL_RELEASE=9.9 '$root $kernel_link $fetched')
	[[ $other == "$cache/root/${root##*/} $cache/kernel/${root##*/}-9.9 $cache/fetch/$SUITE-9.9" ]] || return
	mirror=$(expand MIRROR=http://snapshot.example.org/ '$root $kernel_link $fetched')
	foreign=$(expand FLAVOUR= ARCH=arm64 '$root $kernel_link $fetched')
	for path in $mirror $foreign; do
		[[ " $newest $other " != *" $path "* ]] || return
	done
}
if [[ ! $MIRROR ]]; then
	result "another kernel, mirror or architecture has places of its own" same_place
fi
exit $rc
