#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What tools/klp-takeover refuses, and that nothing is left behind then. The modules are
# object files that have the symbols and sections in question, and nothing else.

. "$(dirname "$0")/../lib/env.sh"
. "$scripts/lib/tap.sh"
suite=takeover
test=$(out_dir)/test-takeover

# In the folder of the test.
here() {
	tool env -C "$test" "$@"
}

# made NAME SYMBOL...: a module that needs these; SECTION=name gives it that section.
made() {
	local name=$1
	shift

	{
		echo ".section ${SECTION:-.rodata}, \"a\""
		printf '.quad %s\n' "$@"
	} | here as -o "$name.ko" -
}

# signed NAME SIZE: with a signature that says to be of that size, four octal numbers.
signed() {
	cp patch.ko "$1.ko"
	printf 'none\0\0\2\0\0\0\0\0%b~Module signature appended~\n' "$2" >>"$1.ko"
}

# It says so, on standard error alone, and has made no file.
refuses() { # MESSAGE ARGUMENT...
	local message=$1 said before
	shift

	before=$(sha256sum -- *)
	! said=$(here "${with[@]}" "$top/tools/klp-takeover" "$@" 2>&1 >stdout) || return 1
	echo "$said"
	[[ ! -s stdout && $said == "klp-takeover: $message" ]] || return 1
	rm stdout
	[[ $(sha256sum -- *) == "$before" ]]
}

# All but the names is as it was.
accepts() { # OLD NEW
	here "$top/tools/klp-takeover" "$1" "$2" &&
		[[ $(here nm -u "$2") == *" rlp_enable_patch"* ]] &&
		cmp <(sed 's/klp_enable_patch/rlp_enable_patch/' "$1" | head -c "$(stat -c %s patch.ko)") "$2"
}

rm -rf "$test"
mkdir -p "$test"
cd "$test"
with=()

made patch klp_enable_patch klp_find_section_by_name _printk
made other _printk
made unknown klp_enable_patch klp_of_next_year
made shared klp_enable_patch other_klp_enable_patch
SECTION=__versions made versions klp_enable_patch
signed signed '\0\0\0\4'
signed damaged '\0177\0377\0377\0377'
echo text >text.ko
gzip -k patch.ko

result "of one file" refuses "usage: klp-takeover PATCH.ko NEW.ko" patch.ko
result "of no file" refuses "cannot read none.ko" none.ko new.ko
result "onto itself" refuses "./patch.ko is the same file" patch.ko ./patch.ko
result "of a text" refuses "text.ko is no module; unpack it first if it is compressed" text.ko new.ko
result "of a compressed module" \
	refuses "patch.ko.gz is no module; unpack it first if it is compressed" patch.ko.gz new.ko
result "of another module" refuses \
	"other.ko does not call klp_enable_patch(): it is no live patch, or has been taken over" other.ko new.ko
result "of one with versions" refuses \
	"versions.ko holds versions of the symbols it uses (CONFIG_MODVERSIONS): it has to be built anew" \
	versions.ko new.ko
result "of one with an unknown function" \
	refuses "rust_livepatch does not have klp_of_next_year" unknown.ko new.ko
result "of one whose names share letters" \
	refuses "a symbol that shared.ko needs ends like one of livepatch's" shared.ko new.ko
result "of a damaged one" refuses "damaged.ko is damaged" damaged.ko new.ko
with=(env PATH=/nowhere /bin/bash)
result "without binutils" refuses "there is no nm: install binutils" patch.ko new.ko

result "else it works" accepts patch.ko new.ko
result "on a signed module too" accepts signed.ko unsigned.ko
with=()
result "not of what was taken over" refuses \
	"new.ko does not call klp_enable_patch(): it is no live patch, or has been taken over" new.ko newer.ko
exit $rc
