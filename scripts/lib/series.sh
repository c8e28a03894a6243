# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # variables of env.sh, and those below
#
# Functions for scripts/kernel-patches, and for the descriptions of the patches in
# integration/patches/. Sourced after env.sh, with these variables: the kernel's source in $tree,
# the folder for the patches in $series, the name and address of the author in $author and $email.
#
# The patches are commits in a repository of their own, which has only the files of the kernel that
# the series changes. Its paths and the checksums of its files are those of the kernel. So the
# patches apply to the kernel, and git am can merge them.

patches=$top/integration/patches
repo=$CACHE_DIR/out/$checkout/series
# shellcheck disable=SC2034 # used by the descriptions
loader=kernel/livepatch/rust

kernel_version() {
	sed -nE 's/^(VERSION|PATCHLEVEL|SUBLEVEL) = ([0-9]+)/\2/p' "$tree/Makefile" | paste -sd.
}

in_repo() {
	git -C "$repo" -c core.hooksPath=/dev/null -c commit.gpgSign=false \
		-c core.abbrev=12 -c core.autocrlf=false \
		-c user.name="$author" -c user.email="$email" "$@"
}

# own PATTERN: print the files of this project that match.
own() {
	(cd "$top" && printf '%s\n' $1)
}

# edit FILE SED-SCRIPT: change a file of the kernel. The script must change something.
edit() {
	sed -i.before -E "$2" "$repo/$1"
	! cmp -s "$repo/$1" "$repo/$1.before" || die "the script for $1 changes nothing"
	rm "$repo/$1.before"
}

# edit_new FILE SED-SCRIPT: the same for a file that the series has added. It has a name of its own
# because changed_files() looks for "edit".
edit_new() {
	edit "$@"
}

# export_symbol FILE SYMBOL [COMMENT]: export a function or a variable to the loader alone, in the
# line after its definition.
export_symbol() {
	local text

	text=$(awk -v symbol="$2" -v comment="${3:-}" '
		{ print }
		$0 ~ "^[a-z_].*[ *(]" symbol "\\)?[;( ]" || $0 ~ "^" symbol "\\(" {
			if (/;$/ || /;  \/\*/) found = !/^extern/
			else inside = 1
		}
		inside && /^}/ { found = 1; inside = 0 }
		found && !done {
			print "EXPORT_SYMBOL_FOR_MODULES(" symbol ", \"rust_livepatch\");" comment
			done = 1
		}
		END { exit !done }' "$repo/$1") || die "$1 does not define $2"
	printf '%s\n' "$text" >"$repo/$1"
}

# add FILE DESTINATION: add a file of this project as it is.
add() {
	mkdir -p "$repo/$(dirname "$2")"
	cp "$top/$1" "$repo/$2"
}

# The paths in comments are those of the kernel's tree. (rust/helpers/atomic*.c is the kernel's.)
paths='s,rust/helpers/(atomic),rust/HELPERS/\1,g
	s,rust/helpers/,helpers/,g
	s,rust/HELPERS/,rust/helpers/,g
	s,rust/kernel/([a-z_]+\.rs),kernel_ext/\1,g
	s,Documentation/design\.rst,Documentation/livepatch/rust.rst,g
	s,Documentation/ABI/sysfs,Documentation/ABI/testing/sysfs,g'

# add_c FILE DESTINATION: add a C file.
add_c() {
	add "$1" "$2"
	sed -i -E "$paths"'
		s,#include [<"]rust_livepatch.h[>"],#include <linux/rust_livepatch.h>,' "$repo/$2"
}

# add_header FILE DESTINATION: add the header for patches. The functions at its end are copied from
# this project's header.
add_header() {
	add "$1" "$2"
	sed -n '/^#define klp_enable_patch/,$p' "$top/include/rust_livepatch.h" >>"$repo/$2"
}

# Whether a file of rust/kernel/ is one of those that the series adds to the kernel crate.
in_kernel_crate() {
	grep -qsF " $1 " "$patches"/0*.sh
}

# add_rust FILE DESTINATION: add a Rust file of the loader or of its wrappers. The bindings are
# those of the kernel crate.
add_rust() {
	add "$1" "$2"
	sed -i -E "$paths"'
		s/\brlp_bindings::/kernel::bindings::/g' "$repo/$2"
}

# add_to_crate FILE DESTINATION: add a Rust file to the kernel crate.
add_to_crate() {
	add "$1" "$2"
	sed -i -E '
		s/^use kernel::/use crate::/
		s/\bkernel_ext::rcu_box\b/kernel::sync::rcu_box/
		s/\bkernel_ext::/kernel::/g
		s/\bcrate::atomic\b/core::sync::atomic/
		s/\brlp_tracepoint_synchronize\b/tracepoint_synchronize_unregister/
		s/\brlp_bindings::/bindings::/g' "$repo/$2"
}

# Format the new Rust files: replaced paths change the order of imports, and where lines break.
format_new() {
	local files

	mapfile -t files < <(in_repo ls-files --others '*.rs')
	((${#files[@]} == 0)) || (cd "$repo" && tool rustfmt --edition 2021 \
		--config-path "$repo/.rustfmt.toml" "${files[@]/#/$repo/}")
}

# add_makefile FILE DESTINATION: add the loader's Makefile, with the lists in Kbuild.
add_makefile() {
	local helpers free

	helpers=$(sed -nE 's,^\trust/(helpers/[a-z_]+\.o).*,\1,p' "$top/Kbuild" |
		grep -vx helpers/tracepoint.o | paste -sd' ' |
		fold -s -w 72 | sed 's/ $//; 2,$s/^/\t/; $!s/$/ \\/')
	free=$(sed -n 's/^ftrace-free := //p' "$top/Kbuild")
	[[ $helpers && $free ]] || die "Kbuild has no list of helpers"
	add "$1" "$2"
	HELPERS=$helpers FREE=$free perl -pi -e \
		's/\@HELPERS\@/$ENV{HELPERS}/; s/\@FTRACE_FREE\@/$ENV{FREE}/' "$repo/$2"
}

# add_abi FILE DESTINATION: add the description of the files in sysfs, without the parameter of the
# gate.
add_abi() {
	local text

	add "$1" "$2"
	text=$(sed -E '/^What:\t\trust_livepatch\.without/,/^What:/{ /^What:.*without/d; /^What:/!d }
		s/loaded by rust_livepatch\.ko/of the loader in Rust/
		s/while that module is loaded/while the loader is loaded/' "$repo/$2")
	printf '%s\n' "$text" >"$repo/$2"
}

# add_guide FILE DESTINATION: add the guide, with the glossary of design.rst.
add_guide() {
	local glossary

	glossary=$(sed -n '/^Glossary$/,/^Structure$/p' "$top/Documentation/design.rst" |
		sed '1,3d; $d')
	add "$1" "$2"
	GLOSSARY=$glossary perl -pi -e 's/\@GLOSSARY\@/$ENV{GLOSSARY}/' "$repo/$2"
}

# maintained_by ENTRY PATH: add a file to an entry of MAINTAINERS, in the order of the alphabet.
maintained_by() {
	local text

	text=$(awk -v entry="$1" -v line="F:\t$2" '
		function add() { print line; done = 1 }
		$0 == entry { inside = 1 }
		inside && !done && (/^$/ || /^[FX]:/ && (/^X:/ || $0 > line)) { add() }
		/^$/ { inside = 0 }
		{ print }
		END { exit !done }' "$repo/MAINTAINERS") || die "MAINTAINERS has no entry $1"
	printf '%s\n' "$text" >"$repo/MAINTAINERS"
}

# maintained PATH...: add files to the loader's entry in MAINTAINERS. The first call makes this
# entry.
maintained() {
	local path

	if ! grep -q '^LIVE PATCHING \[RUST\]$' "$repo/MAINTAINERS"; then
		sed "1d; s/@NAME@/$author/; s/@EMAIL@/$email/" \
			"$top/integration/MAINTAINERS" >"$repo/entry"
		sed -i "/^LIVE UPDATE$/{
			e cat $repo/entry
		}" "$repo/MAINTAINERS"
		rm "$repo/entry"
	fi
	for path; do
		maintained_by 'LIVE PATCHING [RUST]' "$path"
	done
}

# Print the files of the kernel that the descriptions change.
changed_files() {
	sed -nE 's/^\t*(edit|export_symbol) ([^ ]+).*/\2/p' "$patches"/*.sh
	printf '%s\n' MAINTAINERS .rustfmt.toml
}

# message NAME: print the text of a message, which begins behind the licence.
message() {
	sed 1d "$patches/$1.msg"
}

write_series() {
	local file name count

	rm -rf "$repo"
	mkdir -p "$repo" "$series"
	# The folder may have other files of the user.
	rm -f "$series"/[0-9][0-9][0-9][0-9]-*.patch "$series"/0000-cover-letter.txt
	in_repo init -q -b series
	for file in $(changed_files | sort -u); do
		mkdir -p "$repo/$(dirname "$file")"
		cp "$tree/$file" "$repo/$file"
		chmod u+w "$repo/$file"
	done
	in_repo add -A
	in_repo commit -q -m "the files of $(kernel_version)"
	for file in "$patches"/*.sh; do
		name=$(basename "$file" .sh)
		echo "$name"
		# shellcheck disable=SC1090
		. "$file"
		format_new
		in_repo add -A
		message "$name" | in_repo commit -q -s -F -
	done
	count=$(($(in_repo rev-list --count HEAD) - 1))
	in_repo format-patch -q --cover-letter -o "$series" "HEAD~$count"
	write_cover
}

# The cover letter is no patch. Its suffix keeps it out of "git am *.patch".
write_cover() {
	local cover=$series/0000-cover-letter.txt

	mv "$series"/0000-*.patch "$cover"

	SUBJECT=$(message cover | head -n 1) BLURB=$(message cover | tail -n +3) perl -pi -e '
		s/\*\*\* SUBJECT HERE \*\*\*/$ENV{SUBJECT}/;
		s/\*\*\* BLURB HERE \*\*\*/$ENV{BLURB}/' "$cover"
}
