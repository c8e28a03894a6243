#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Check which arguments tools/klp-takeover refuses, and that it leaves nothing behind when it
# refuses them. The modules are object files that have only the symbols and sections in question.

. "$(dirname "$0")/../lib/env.sh"
. "$scripts/lib/tap.sh"
suite=takeover
test=$(out_dir)/test-takeover

# in_test_dir COMMAND...: run the command in the folder of the test.
in_test_dir() {
	tool env -C "$test" "$@"
}

# make_module NAME SYMBOL...: make a module that needs these symbols. SECTION=name puts their
# addresses into that section.
make_module() {
	local name=$1
	shift

	{
		echo ".section ${SECTION:-.rodata}, \"a\""
		printf '.quad %s\n' "$@"
	} | in_test_dir as -o "$name.ko" -
}

# make_signed NAME SIZE: make a module whose signature has this size in its size field. SIZE is four
# octal numbers.
make_signed() {
	cp patch.ko "$1.ko"
	printf 'none\0\0\2\0\0\0\0\0%b~Module signature appended~\n' "$2" >>"$1.ko"
}

# refuses MESSAGE ARGUMENT...: klp-takeover must print only this message, on standard error, fail,
# and make no file.
refuses() {
	local message=$1 errors before
	shift

	before=$(sha256sum -- *)
	! errors=$(in_test_dir "${with[@]}" "$top/tools/klp-takeover" "$@" 2>&1 >stdout) || return 1
	echo "$errors"
	[[ ! -s stdout && $errors == "klp-takeover: $message" ]] || return 1
	rm stdout
	[[ $(sha256sum -- *) == "$before" ]]
}

# accepts OLD NEW: klp-takeover must succeed, and change nothing but the names.
accepts() {
	in_test_dir "$top/tools/klp-takeover" "$1" "$2" &&
		[[ $(in_test_dir nm -u "$2") == *" rlp_enable_patch"* ]] &&
		cmp <(sed 's/klp_enable_patch/rlp_enable_patch/' "$1" |
			head -c "$(stat -c %s patch.ko)") "$2"
}

rm -rf "$test"
mkdir -p "$test"
cd "$test"
with=()

make_module patch klp_enable_patch klp_find_section_by_name _printk
make_module other _printk
make_module unknown klp_enable_patch klp_of_next_year
make_module shared klp_enable_patch other_klp_enable_patch
SECTION=__versions make_module versions klp_enable_patch
make_signed signed '\0\0\0\4'
make_signed damaged '\0177\0377\0377\0377'
echo text >text.ko
gzip -k patch.ko

result "one argument is refused" refuses "usage: klp-takeover PATCH.ko NEW.ko" patch.ko
result "a missing file is refused" refuses "cannot read none.ko" none.ko new.ko
result "the same file twice is refused" \
	refuses "patch.ko and ./patch.ko are the same file" patch.ko ./patch.ko
result "a text file is refused" \
	refuses "text.ko is not a module; decompress it first if it is compressed" text.ko new.ko
result "a compressed module is refused" \
	refuses "patch.ko.gz is not a module; decompress it first if it is compressed" patch.ko.gz \
		new.ko
result "a module that is no patch is refused" refuses \
	"other.ko does not call klp_enable_patch(): it is not a live patch, or is already converted" other.ko new.ko
result "a module with symbol versions is refused" refuses \
	"versions.ko has versions of the symbols that it uses (CONFIG_MODVERSIONS): build it from source" \
	versions.ko new.ko
result "a patch with an unknown function is refused" \
	refuses "unknown.ko calls functions that rust_livepatch lacks: klp_of_next_year" \
		unknown.ko new.ko
result "a patch with a symbol that ends with a livepatch name is refused" \
	refuses "shared.ko needs a symbol whose name ends with the name of a livepatch function" \
		shared.ko new.ko
result "a damaged module is refused" refuses "damaged.ko is damaged" damaged.ko new.ko
with=(env PATH=/nowhere /bin/bash)
result "a system without binutils is refused" \
	refuses "cannot find nm: install binutils" patch.ko new.ko

result "a patch is converted" accepts patch.ko new.ko
result "a signed patch is converted" accepts signed.ko unsigned.ko
with=()
result "a converted patch is refused" refuses \
	"new.ko does not call klp_enable_patch(): it is not a live patch, or is already converted" \
	new.ko newer.ko
exit $rc
