#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Install below a folder, and build patches against the installed files, outside of this project. A
# patch has only its sources and a Makefile of three lines.

. "$(dirname "$0")/../lib/env.sh"
. "$scripts/lib/edit.sh"
. "$scripts/lib/tap.sh"
suite=install
test=$(out_dir)/test-install

# patch_dir NAME SOURCE: make a folder for a patch with this source.
patch_dir() {
	mkdir -p "$test/$1"
	cp "$2" "$test/$1/"
	cat >"$test/$1/Makefile" <<-END
		KDIR ?= /lib/modules/\$(shell uname -r)/build
		obj-m := $(basename "${2%.*}").o
		include $test/root/usr/share/rust_livepatch/livepatch.mk
	END
}

# in_patch_dir NAME ARGUMENT...: run make in that folder.
in_patch_dir() {
	local dir=$test/$1
	shift
	# shellcheck disable=SC2046
	tool make -C "$dir" KDIR="$kernel" $(kernel_vars) "$@"
}

# Print the first source that the documentation shows.
documented() {
	awk '/my_patch.rs.*::$/ { shown = 1; next }
		shown && /^[^ ]/ { exit }
		shown            { sub("    ", ""); print }' \
		"$top/Documentation/writing-patches.rst"
}

# is_patch NAME MODULE: the module must be marked as a live patch, and must make modprobe load the
# loader. A kernel without in-tree livepatch refuses modules with the mark, so a module for such a
# kernel must not have it.
is_patch() {
	local ko=$test/$1/$2.ko mark=

	! grep -qx CONFIG_LIVEPATCH=y "$kernel/.config" || mark=Y
	[[ $(tool modinfo -F depends "$ko") == rust_livepatch &&
		$(tool modinfo -F livepatch "$ko") == "$mark" ]]
}

# has_btf NAME MODULE: if the kernel's modules have BTF, the module must have BTF, too. A bpf
# program can be attached to a function of a module only with the BTF of that module.
has_btf() {
	grep -qx CONFIG_DEBUG_INFO_BTF_MODULES=y "$kernel/.config" || return 0
	[[ -e $kernel/vmlinux ]] || {
		echo "$kernel has no vmlinux: it was prepared by an older version, run make update"
		return 1
	}
	tool readelf -SW "$test/$1/$2.ko" | grep ' \.BTF '
}

# The built files must not name a file of this project. grep returns 1 if no line matches, and 2 for
# an error.
is_independent() {
	local rc=0

	grep -rF -e "$top/rust" -e "$top/include" -e "$top/samples" \
		"$test"/{rust,c,documented}/.*.cmd || rc=$?
	((rc == 1))
}

# The installed klp-takeover converts a module that was built for in-tree livepatch. The module is
# the only file in its folder.
intree=$(out_dir)/selftests/intree/takeover_patch.ko
takes_over() {
	local dir=$test/takeover undefined

	mkdir -p "$dir"
	cp "$intree" "$dir/old.ko"
	tool env -C "$dir" "$test/root/usr/bin/klp-takeover" old.ko new.ko &&
		cmp "$dir/old.ko" "$intree" &&
		undefined=$(tool nm --undefined-only --format=just-symbols "$dir/new.ko") &&
		grep -x rlp_enable_patch <<<"$undefined" &&
		! grep -x klp_enable_patch <<<"$undefined"
}

# rlp runs from where it is installed, and the units and the rule name that place.
rlp_is_installed() {
	local usr=$test/root/usr

	[[ -s $usr/share/man/man8/rlp-load.8 && -s $usr/share/bash-completion/completions/rlp ]] &&
		tool "$usr/bin/rlp" --version &&
		grep -qx 'ExecStart=-/usr/bin/rlp boot' \
			"$usr/lib/systemd/system/rlp-boot.service" &&
		grep -qx 'ExecStart=/usr/bin/rlp heartbeat' \
			"$usr/lib/systemd/system/rlp-heartbeat.service" &&
		grep -qx 'ExecStart=/usr/bin/rlp level apply' \
			"$usr/lib/systemd/system/rlp-apply.service" &&
		grep -qx 'ExecStart=-/usr/bin/rlp metrics --output .*/rlp.prom' \
			"$usr/lib/systemd/system/rlp-metrics.service" &&
		[[ -x $usr/share/rlp/rlp.fact && -s $usr/share/rlp/prometheus/rlp.rules.yml ]] &&
		[[ -s $usr/lib/systemd/system/rlp-metrics.timer ]] &&
		[[ -s $usr/lib/systemd/system/rlp-heartbeat.timer ]] &&
		[[ -s $usr/lib/systemd/system/rlp-apply.timer && -s $usr/share/rlp/policy.toml ]] &&
		[[ -x $test/root/etc/kernel/postinst.d/rlp ]] &&
		grep -qF 'RUN+="/usr/bin/rlp event"' "$usr/lib/udev/rules.d/60-rlp.rules"
}

# The installed rlp-build finds the parts of a kernel by its release, and the loader's files where
# they are installed. The source patch is the only file in its folder.
builds_outside() {
	local dir=$test/outside modules

	mkdir -p "$dir"
	diff_of_edit "$(kernel_source)" fs/proc/cmdline.c \
		's/^\tseq_puts\(m, saved_command_line\);/\tseq_puts(m, "built outside ");\n&/' \
		>"$dir/outside.patch"
	modules=$("$scripts/kernel/fetch-modules")
	# shellcheck disable=SC2016
	tool sh -euc 'release=$1 tree=$2 modules=$3 root=$4 dir=$5 cache=$6
		mkdir -p /lib/modules /boot /usr/share/rust_livepatch
		mount -t tmpfs none /lib/modules
		mkdir -p "/lib/modules/$release/kernel"
		ln -s "$tree" "/lib/modules/$release/build"
		mount --bind "$modules/kernel" "/lib/modules/$release/kernel"
		mount -t tmpfs none /boot
		cp "$tree/vmlinuz" "/boot/vmlinuz-$release"
		mount --bind "$root/usr/share/rust_livepatch" /usr/share/rust_livepatch
		cd "$dir"
		exec "$root/usr/bin/rlp-build" build --release "$release" --cache "$cache" \
			outside.patch' \
		outside "$(kernel_release)" "$kernel" "$modules" "$test/root" "$dir" \
		"$CACHE_DIR/rlp-build" &&
		[[ $(tool modinfo -F depends "$dir/outside.ko") == rust_livepatch ]] &&
		grep -q '"name": "cmdline_proc_show"' "$dir/outside.proof.json"
}

# clean_removes_all NAME: "make clean" leaves no built file.
clean_removes_all() {
	in_patch_dir "$1" clean && [[ ! $(find "$test/$1" -name '*.ko' -o -name '*.rmeta') ]]
}

# says_why NAME TEXT: make in that folder fails, prints this text, and builds no module.
says_why() {
	local output

	! output=$(in_patch_dir "$1" 2>&1) || return
	echo "$output"
	grep -qF "$2" <<<"$output" && [[ ! $(find "$test/$1" -name '*.ko') ]]
}

# The operator's guide has a command that removes the installed files. Its first part lists these
# files, by the names that they have on the machine. The part that removes them is left out here.
uninstalls() {
	local list

	list=$(sed -n "s/^    # \(tar -tf image\.tar .*\) | xargs .* rm -f --\$/\1/p" "$top/Documentation/operating.rst")
	[[ $list ]] || return
	tar -C "$test/root" -cf "$test/image.tar" .
	diff -u <(cd "$test" && eval "$list" | sort) \
		<(cd "$test/root" && find . ! -type d | sed 's/^\.//' | sort)
}

rm -rf "$test"
mkdir -p "$test"
if uses_build_root; then
	result "rlp and rlp-build are built" "$scripts/programs"
fi
result "below DESTDIR" env DESTDIR="$test/root" "$scripts/install"
result "the operator's guide removes what is installed" uninstalls
result "the loader is installed" \
	test -s "$test/root/usr/lib/modules/$(kernel_release)/updates/rust_livepatch.ko"
patch_dir rust "$top/samples/rust_shadow/rust_livepatch_shadow.rs"
patch_dir c "$top/samples/c_cmdline/livepatch_cmdline_c.c"
# Include the header as a patch for in-tree livepatch does.
sed -i 's,<rust_livepatch.h>,<linux/livepatch.h>,' "$test/c/livepatch_cmdline_c.c"

result "a patch in Rust builds" in_patch_dir rust
result "the Rust module is a patch" is_patch rust rust_livepatch_shadow
result "a patch in C builds" in_patch_dir c
result "the C module is a patch" is_patch c livepatch_cmdline_c
documented >"$test/my_patch.rs"
patch_dir documented "$test/my_patch.rs"
result "the documented patch builds" in_patch_dir documented
result "the documented module is a patch" is_patch documented my_patch
if uses_build_root; then
	in_patch_dir documented clean >/dev/null
	result "make patch builds it" env PATCH="$test/documented" "$scripts/patch" --built
	result "the module of make patch is a patch" is_patch documented my_patch
	in_patch_dir c clean >/dev/null
	result "make patch builds a patch in C" env PATCH="$test/c" "$scripts/patch" --built
	result "the module of make patch has BTF" has_btf c livepatch_cmdline_c
	result "rlp-build builds a live patch outside of a clone" builds_outside
fi
# No tool can unload a module with a dot in its name.
cp "$test/c/livepatch_cmdline_c.c" "$test/my.patch.c"
patch_dir dotted "$test/my.patch.c"
result "a module with a dot in its name is refused" \
	says_why dotted "a dot in its name cannot be unloaded: my.patch"
# The kernel's build prefers Kbuild to the Makefile, and would build a patch for in-tree livepatch.
cp "$test/c/livepatch_cmdline_c.c" "$test/beside.c"
patch_dir beside "$test/beside.c"
echo "obj-m := beside.o" >"$test/beside/Kbuild"
result "a Kbuild file beside the Makefile is refused" \
	says_why beside "Kbuild is read instead of the Makefile"
result "the built files do not name this project" is_independent
result "clippy works outside of the project" in_patch_dir rust CLIPPY=1
result "make clean works outside of the project" clean_removes_all rust
if uses_build_root; then
	result "rlp is there" rlp_is_installed
fi
if [[ -e $intree ]]; then
	result "the installed klp-takeover works" takes_over
else
	echo "ok - install the installed klp-takeover works # SKIP nothing was built for in-tree livepatch"
fi
exit $rc
