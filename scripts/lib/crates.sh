# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Compile the crates of Debian once for all checkouts that share CACHE_DIR. Each checkout has a
# target folder of its own, because the programs of two checkouts have the same names. A new target
# folder begins with a copy of the crates that another checkout has compiled. Sourced after env.sh.

# crates_folder NAME FILE...: print the folder for the crates that these files describe.
crates_folder() {
	local version

	version=$(cat "${@:2}" | sha256sum)
	printf '%s/cargo/crates-%s-%s-%s\n' "$CACHE_DIR" "$1" "$SUITE" "${version:0:12}"
}

# take_crates FOLDER TARGET: copy the compiled crates, if there are any, to a folder that does not
# exist yet.
take_crates() (
	[[ ! -e $2 ]] || return 0
	lock crates >&2
	[[ -e $1 ]] || return 0
	mkdir -p "${2%/*}"
	rm -rf "$2.partial"
	cp -a "$1" "$2.partial"
	mv "$2.partial" "$2"
)

# keep_crates FOLDER TARGET COMMAND: copy what a command of cargo has compiled, unless it was copied
# before. The programs of this checkout are copied too, but other checkouts do not use them: cargo
# puts a hash of the path into the names. Remove the folders of other versions. The copy only saves
# time, so the command does not fail without it.
keep_crates() (
	local old

	[[ ! -e $1/kept-$3 ]] || return 0
	lock crates >&2
	for old in "${1%-*}"-*; do
		[[ $old == "$1" ]] || rm -rf "$old"
	done
	if copy_crates "$@"; then
		rm -rf "$1"
		mv "$1.partial" "$1"
	else
		rm -rf "$1.partial"
		echo "  the compiled crates cannot be kept for other checkouts" >&2
	fi
)

# copy_crates FOLDER TARGET COMMAND: make FOLDER.partial from the folder, if it exists, and the
# target.
copy_crates() {
	mkdir -p "$1.partial" &&
		{ [[ ! -e $1 ]] || cp -a "$1/." "$1.partial"; } &&
		cp -au "$2"/{.fingerprint,build,deps} "$1.partial" &&
		touch "$1.partial/kept-$3" &&
		sync -f "$1.partial"
}
