#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build two levels from a patch of this tree, put them into a repository that is signed with a
# throw-away key, and let apt fetch them. apt must refuse indexes and packages that were changed,
# indexes that are too old, and indexes of another key.

. "$(dirname "$0")/../lib/env.sh"
. "$scripts/lib/tap.sh"
suite=level
test=$(out_dir)/test-level
if ! uses_build_root; then
	echo "ok - level the levels # SKIP the programs are built in the build root only"
	exit 0
fi
rlp=$(programs_dir)/bin/rlp

# The patches of both levels, the loader without debug information, and the build id of the kernel.
make_inputs() {
	local level dir=$test/source

	mkdir -p "$dir" "$test"/in-{1,2}
	for level in 1 2; do
		{
			cat "$top/samples/c_cmdline/livepatch_cmdline_c.c"
			echo "MODULE_INFO(level, \"$level\");"
			echo 'MODULE_INFO(cves, "CVE-2026-0001");'
		} >"$dir/fix$level.c"
	done
	cat >"$dir/Makefile" <<-END
		KDIR ?= /lib/modules/\$(shell uname -r)/build
		obj-m := fix1.o fix2.o
		include $test/root/usr/share/rust_livepatch/livepatch.mk
	END
	install_below "$test/root"
	# shellcheck disable=SC2046
	tool make -C "$dir" KDIR="$kernel" $(kernel_vars)
	tool sh "$(kernel_source)/scripts/extract-vmlinux" "$kernel/vmlinuz" >"$test/vmlinux"
	cp "$(out_dir)/rust_livepatch.ko" "$test/"
	tool strip --strip-debug "$test/rust_livepatch.ko" "$dir"/fix{1,2}.ko
	for level in 1 2; do
		cp "$dir/fix$level.ko" "$test/rust_livepatch.ko" "$test/vmlinux" "$test/in-$level/"
	done
	echo '{ "CVE-2026-0001": { "severity": "high", "disclosed": "2026-11-20" } }' \
		>"$test/cves.json"
}

# build_level N OUT [OPTION...]: build level N.
build_level() {
	tool env SOURCE_DATE_EPOCH=1796000523 "$rlp" level build --level "$1" --out "$2" \
		--cve-data "$test/cves.json" "${@:3}" "$test/in-$1"
}

# The kernel's build id in the level is the one that the kernel's image has.
has_build_id() {
	local id

	id=$(tool readelf -n "$test/vmlinux" | sed -n 's/^ *Build ID: //p')
	[[ $id ]] && grep -F "\"build_id\": \"$id\"" "$test/1/level.json"
}

same_bytes() {
	build_level 1 "$test/again" && diff -r "$test/1" "$test/again"
}

# names_debug: a loader with its debug information is refused.
names_debug() {
	local output

	mkdir -p "$test/in-debug"
	cp "$test/in-1"/* "$test/in-debug/"
	cp "$(out_dir)/rust_livepatch.ko" "$test/in-debug/"
	! output=$(tool "$rlp" level build --level 1 --out "$test/debug" "$test/in-debug" 2>&1) &&
		grep -F 'it has debug information' <<<"$output"
}

# with_gpg COMMAND...: run a command in the root with reprepro and gpg. The path of a socket must be
# short, and that of GNUPGHOME may be long. So the folder below /run/user is made: gpg's agent has
# its sockets there if it exists.
with_gpg() {
	# shellcheck disable=SC2016
	"$scripts/root/with-list" packages-deb sh -euc '
		mkdir -p -m 700 /run/user/0
		export GNUPGHOME=$1
		shift
		exec "$@"' gpg "$test/gpg" "$@"
}

repository() {
	with_gpg "$top/tools/rlp-repository" "$@"
}

# make_key USER: make a key, and print its fingerprint.
make_key() {
	with_gpg gpg --batch --quiet --passphrase '' --quick-generate-key "$1" ed25519 sign 90d \
		2>/dev/null
	with_gpg gpg --batch --with-colons --list-secret-keys "$1" |
		awk -F : '$1 == "fpr" { print $10; exit }'
}

make_repository() {
	install -d -m 700 "$test/gpg"
	make_key 'levels <levels@example.org>' >"$test/fingerprint"
	make_key 'other <other@example.org>' >"$test/other"
	repository init "$test/repo" --key "$(<"$test/fingerprint")" &&
		repository key "$test/repo" "$test/key.asc" &&
		with_gpg gpg --batch --armor --output "$test/other.asc" --export "$(<"$test/other")"
}

# refuses STATUS TEXT COMMAND...: the command ends with this status, and prints this text.
refuses() {
	local status=$1 text=$2 rc=0 output
	shift 2

	output=$("$@" 2>&1) || rc=$?
	echo "$output"
	((rc == status)) && grep -qF -e "$text" <<<"$output"
}

# apt RING FOLDER KEY COMMAND...: run apt-get as on a machine that gets its levels from this ring of
# the repository in this folder. It has no other source. The machine is a new one each time.
apt() {
	local ring=$1 folder=$2 key=$3 machine=$test/machine
	shift 3

	rm -rf "$machine"
	mkdir -p "$machine"/{etc/apt.conf.d,etc/preferences.d,state/lists/partial} \
		"$machine"/{cache/archives/partial,got}
	touch "$machine/status"
	cat >"$machine/etc/rlp.sources" <<-END
		Types: deb
		URIs: file:$folder/public
		Suites: $ring
		Components: main
		Signed-By: $key
	END
	cat >"$machine/apt.conf" <<-END
		APT::Architecture "amd64";
		APT::Sandbox::User "root";
		APT::Update::Error-Mode "any";
		Acquire::Languages "none";
		Dir::Etc "$machine/etc";
		Dir::Etc::Parts "$machine/etc/apt.conf.d";
		Dir::Etc::SourceList "/dev/null";
		Dir::Etc::SourceParts "$machine/etc";
		Dir::State "$machine/state";
		Dir::State::Status "$machine/status";
		Dir::Cache "$machine/cache";
	END
	# shellcheck disable=SC2016
	tool sh -euc 'cd "$1/got"
		export APT_CONFIG=$1/apt.conf
		shift
		for command; do
			apt-get $command
		done' apt "$machine" "$@"
}

# gets RING LEVEL: apt gets this level from this ring, and the package is the one that was built.
gets() {
	apt "$1" "$test/repo" "$test/key.asc" update 'download rlp-level' &&
		cmp "$test/machine/got/rlp-level_$2_amd64.deb" "$test/$2/rlp-level_$2_amd64.deb"
}

stable_is_empty() {
	refuses 100 'Unable to locate package rlp-level' \
		apt stable "$test/repo" "$test/key.asc" update 'download rlp-level'
}

# From the host of the repository, apt takes the packages of levels, and no other package. apt has
# the index already, so it need not reach that host.
pinned() {
	local index=$test/spoilt/public/dists/canary machine=$test/machine list output

	copy_repository spoilt
	apt canary "$test/spoilt" "$test/key.asc" >/dev/null
	list=$machine/state/lists/levels.example.org_dists_canary
	cp "$index/InRelease" "${list}_InRelease"
	{
		cat "$index/main/binary-amd64/Packages"
		printf '\nPackage: %s\nVersion: 99\nArchitecture: amd64\nFilename: x\nSize: 1\n' \
			bash rust-livepatch-7.3.4
	} >"${list}_main_binary-amd64_Packages"
	sed -i 's,^URIs: .*,URIs: http://levels.example.org,' "$machine/etc/rlp.sources"
	sed 's/@HOST@/levels.example.org/' "$top/debian/keyring.pref" \
		>"$machine/etc/preferences.d/rlp.pref"
	output=$(tool env APT_CONFIG="$machine/apt.conf" apt-cache policy rlp-level \
		rust-livepatch-7.3.4 bash)
	echo "$output"
	diff - <(grep -E '^[a-z]|Candidate' <<<"$output") <<-END
		rlp-level:
		  Candidate: 2
		rust-livepatch-7.3.4:
		  Candidate: 99
		bash:
		  Candidate: (none)
	END
}

# copy_repository NAME: copy the files for the web server, to spoil them.
copy_repository() {
	rm -rf "${test:?}/$1"
	mkdir -p "$test/$1"
	cp -a "$test/repo/public" "$test/$1/"
}

# The index has the number of another level, as if an attacker had changed it.
tampered_index() {
	local index

	copy_repository spoilt
	for index in "$test/spoilt/public/dists/canary/main/binary-amd64"/Packages*; do
		if [[ $index == *.gz ]]; then
			gunzip -c "$index" | sed 's/^Version: 2$/Version: 3/' | gzip >"$index.new"
		else
			sed 's/^Version: 2$/Version: 3/' "$index" >"$index.new"
		fi
		! cmp -s "$index" "$index.new" || return 1
		mv "$index.new" "$index"
	done
	refuses 100 'File has unexpected size' apt canary "$test/spoilt" "$test/key.asc" update ||
		refuses 100 'Hash Sum mismatch' apt canary "$test/spoilt" "$test/key.asc" update
}

# One byte of the package differs.
tampered_package() {
	local deb=$test/spoilt/public/pool/main/r/rlp-level/rlp-level_2_amd64.deb

	copy_repository spoilt
	printf '\x00' | dd of="$deb" bs=1 seek=3000 conv=notrunc status=none
	! cmp -s "$deb" "$test/2/rlp-level_2_amd64.deb" &&
		refuses 100 'Hash Sum mismatch' \
			apt canary "$test/spoilt" "$test/key.asc" update 'download rlp-level'
}

# sign_release FOLDER KEY: sign the index of the ring canary anew.
sign_release() {
	local dist=$1/public/dists/canary

	rm "$dist"/{InRelease,Release.gpg}
	with_gpg gpg --batch --local-user "$2" --armor --detach-sign --output "$dist/Release.gpg" \
		"$dist/Release"
	with_gpg gpg --batch --local-user "$2" --clear-sign --output "$dist/InRelease" \
		"$dist/Release"
}

# An attacker shows a machine the right index, and never a newer one.
expired() {
	copy_repository "$1"
	sed -i -e "s/^Date: .*/Date: $(date -Ru -d '-9 days' | sed 's/+0000/UTC/')/" \
		-e "s/^Valid-Until: .*/Valid-Until: $(date -Ru -d '-2 days' | sed 's/+0000/UTC/')/" \
		"$test/$1/public/dists/canary/Release"
	sign_release "$test/$1" "$(<"$test/fingerprint")"
}

frozen_index() {
	expired spoilt &&
		refuses 100 'is expired' apt canary "$test/spoilt" "$test/key.asc" update
}

another_key() {
	copy_repository spoilt
	sign_release "$test/spoilt" "$(<"$test/other")"
	refuses 100 'is not signed' apt canary "$test/spoilt" "$test/key.asc" update &&
		apt canary "$test/spoilt" "$test/other.asc" update
}

no_signature() {
	copy_repository spoilt
	rm "$test/spoilt/public/dists/canary"/{InRelease,Release.gpg}
	refuses 100 'is not signed' apt canary "$test/spoilt" "$test/key.asc" update
}

# put_index SIGNED END: change two times in the index of canary. SIGNED is the time of its
# signature, and END is the end of its validity.
put_index() {
	local dist=$test/repo/public/dists/canary

	sed -i -e "s/^Date: .*/Date: $(date -Ru -d "$1" | sed 's/+0000/UTC/')/" \
		-e "s/^Valid-Until: .*/Valid-Until: $(date -Ru -d "$2" | sed 's/+0000/UTC/')/" \
		"$dist/Release"
}

# status notices that the daily refresh has stopped, before the indexes have expired, and notices
# indexes that have expired a minute ago.
noticed_in_time() {
	put_index '-3 days' '+4 days' &&
		refuses 6 'canary: not signed for 72 h' repository status "$test/repo" &&
		put_index '-7 days' '-1 minute' &&
		refuses 6 'canary: expired' repository status "$test/repo" &&
		rm "$test/repo/public/dists/canary/Release" &&
		refuses 6 'canary: expired' repository status "$test/repo" &&
		repository refresh "$test/repo" &&
		refuses 0 'canary: valid for 16' repository status "$test/repo"
}

# Two keys with one name: a person must choose.
two_keys() {
	refuses 3 'names several keys' \
		repository init "$test/two" --key example.org && [[ ! -e $test/two/conf ]]
}

# Level 2 comes into canary after promote has looked at the version there, and before it copies.
promote_race() {
	mkdir -p "$test/bin"
	cat >"$test/bin/reprepro" <<-END
		#!/bin/sh
		case " \$* " in
		*" copy"*) /usr/bin/reprepro --silent --basedir "$test/race" --outdir \
			"$test/race/public" includedeb canary "$test/2/rlp-level_2_amd64.deb" ;;
		esac
		exec /usr/bin/reprepro "\$@"
	END
	chmod +x "$test/bin/reprepro"
	repository init "$test/race" --key "$(<"$test/fingerprint")" &&
		repository add "$test/race" "$test/1/rlp-level_1_amd64.deb" &&
		refuses 3 'canary has rlp-level 2 now' \
			with_gpg env PATH="$test/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
			"$top/tools/rlp-repository" promote "$test/race" rlp-level=1 &&
		refuses 0 'not promoted yet: rlp-level 2' repository status "$test/race"
}

# fails_at NR COMMAND...: the NR-th look of the command at a package fails, for example because the
# disk cannot be read. The command must end with 1, and must claim nothing about the package.
fails_at() {
	local nr=$1 output rc=0
	shift

	mkdir -p "$test/broken"
	rm -f "$test/broken/looks"
	cat >"$test/broken/reprepro" <<-END
		#!/bin/sh
		case " \$* " in
		*" list canary rlp"* | *" list stable rlp"*)
			echo >>"$test/broken/looks"
			[ "\$(wc -l <"$test/broken/looks")" -ne $nr ] || {
				echo 'reprepro cannot read' >&2
				exit 254
			} ;;
		esac
		exec /usr/bin/reprepro "\$@"
	END
	chmod +x "$test/broken/reprepro"
	output=$(with_gpg env PATH="$test/broken:/usr/sbin:/usr/bin:/sbin:/bin" \
		"$top/tools/rlp-repository" "$@" 2>&1) || rc=$?
	echo "$output"
	((rc == 1)) && grep -qx 'reprepro cannot read' <<<"$output" &&
		! grep -E '^(refused|promoted|not promoted)' <<<"$output"
}

# Each look of promote and of status fails once.
broken_looks() {
	local nr

	repository init "$test/looks" --key "$(<"$test/fingerprint")" >/dev/null &&
		repository add "$test/looks" "$test/1/rlp-level_1_amd64.deb" >/dev/null || return
	for nr in 1 2; do
		fails_at $nr status "$test/looks" || return
	done
	for nr in 1 2 3 4; do
		fails_at $nr promote "$test/looks" rlp-level=1 || return
		# The third look comes after the copy.
		with_gpg reprepro --silent --basedir "$test/looks" \
			--outdir "$test/looks/public" remove stable rlp-level || return
	done
}

# The pin of apt needs the name of a host. An address in brackets is refused before anything is
# built, and a name is not. There is no key in that case, so nothing is built then, either.
ipv6() {
	local uri

	for uri in 'https://[2001:db8::1]/levels' 'http://[::1]:8080/' 'https://me:x@[::1]/'; do
		refuses 1 'REPOSITORY= has an IPv6 address' env KEYRING="$test/key.asc" \
			REPOSITORY="$uri" "$scripts/deb" --built || return
	done
	for uri in https://levels.example.org 'file:/srv/[old]/levels'; do
		refuses 1 'No such file or directory' env KEYRING="$test/no/folder/key.asc" \
			REPOSITORY="$uri" "$scripts/deb" --built || return
	done
}

# The key that signs is a subkey that expires soon. Then a second subkey is valid for longer, and at
# last gpg has no key.
key_ends() {
	local key

	with_gpg gpg --batch --quiet --passphrase '' --quick-generate-key 'sub <sub@example.org>' \
		ed25519 cert 2y 2>/dev/null
	key=$(with_gpg gpg --batch --with-colons --list-secret-keys sub@example.org |
		awk -F : '$1 == "fpr" { print $10; exit }')
	with_gpg gpg --batch --passphrase '' --quick-add-key "$key" ed25519 sign 30d &&
		repository init "$test/subkey" --key "$key" &&
		refuses 6 'the key expires on' repository status "$test/subkey" &&
		with_gpg gpg --batch --passphrase '' --quick-add-key "$key" ed25519 sign 1y &&
		refuses 0 'canary: valid for' repository status "$test/subkey" &&
		with_gpg gpg --batch --yes --delete-secret-and-public-key "$key" &&
		refuses 6 'no key can sign' repository status "$test/subkey"
}

# status notices indexes that have expired, and refresh signs them again.
refreshed() {
	expired frozen
	cp -a "$test/frozen/public/dists/canary"/* "$test/repo/public/dists/canary/"
	refuses 6 'canary: expired' repository status "$test/repo" &&
		repository refresh "$test/repo" &&
		repository status "$test/repo" | grep -x 'canary: valid for 16[78] h' &&
		gets canary 2
}

# Another package with the number of a level that was published already.
same_number() {
	local deb=$test/other-1/rlp-level_1_amd64.deb

	build_level 1 "$test/other-1" --publisher 'Other <other@example.org>' >/dev/null ||
		return
	refuses 1 'Already existing files can only be included again, if they are the same' \
		repository add "$test/repo" "$deb" && gets stable 1
}

rm -rf "$test"
mkdir -p "$test"
result "rlp is built" "$scripts/programs"
result "the input of two levels" make_inputs
result "level 1" build_level 1 "$test/1"
result "level 2 blocks level 1" build_level 2 "$test/2" --block 1
result "the build id is that of the kernel" has_build_id
result "the same input makes the same bytes" same_bytes
result "a loader with debug information is refused" names_debug
result "a repository with a key" make_repository
result "level 1 is added" repository add "$test/repo" "$test/1/rlp-level_1_amd64.deb"
result "apt gets level 1 from canary" gets canary 1
result "stable has no level yet" stable_is_empty
result "a promotion without a version is refused" refuses 2 'PACKAGE=VERSION' \
	repository promote "$test/repo" rlp-level
result "level 1 is promoted" repository promote "$test/repo" rlp-level=1
result "apt gets level 1 from stable" gets stable 1
result "a second promotion does nothing" refuses 0 'nothing to do' \
	repository promote "$test/repo" rlp-level=1
result "another level 1 is refused" same_number
result "level 2 is added" repository add "$test/repo" "$test/2/rlp-level_2_amd64.deb"
result "apt gets level 2 from canary" gets canary 2
result "a level that canary has no more is not promoted" refuses 3 'canary has rlp-level 2' \
	repository promote "$test/repo" rlp-level=1
result "stable still has level 1" gets stable 1
result "an older level is refused" refuses 3 'apt does not go back' \
	repository add "$test/repo" "$test/1/rlp-level_1_amd64.deb"
result "apt takes no other package from the repository" pinned
result "apt refuses an index that was changed" tampered_index
result "apt refuses a package that was changed" tampered_package
result "apt refuses an index that has expired" frozen_index
result "apt refuses an index of another key" another_key
result "apt refuses an index without a signature" no_signature
result "an expired index is noticed and signed again" refreshed
result "an index that is not signed each day is noticed" noticed_in_time
result "a name of two keys is refused" two_keys
result "a level that comes during a promotion is not promoted" promote_race
result "a failing look at a package is no answer" broken_looks
result "a repository with an IPv6 address is refused" ipv6
result "the end of the key that signs is noticed" key_ends
exit $rc
