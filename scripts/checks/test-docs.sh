#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Check that the documentation is well formed and agrees with the source. Prints TAP.

. "$(dirname "$0")/../lib/env.sh"
. "$scripts/lib/tap.sh"
suite=docs
out=$(out_dir)/test-docs
abi=$top/Documentation/ABI/sysfs-kernel-rust-livepatch

same_tables() {
	"$scripts/doc-tables" "$out/tables"
	diff -ru "$top/Documentation/tables" "$out/tables" || {
		echo "run: make doc-tables"
		return 1
	}
}

# The ABI document must have an entry for each file in sysfs and for each module parameter, and no
# others.
same_abi_entries() {
	local rust=$top/rust

	diff -u \
		<({
			sed -n -E 's/.*(Attribute|LongText)::.*c"([a-z_]+)".*/\2/p' \
				"$rust/livepatch/sysfs.rs"
			sed -n -E 's/^module_param(_cb)?\(([a-z_]+),.*/\2/p' \
				"$rust"/helpers/{gate,params}.c
		} | sort) \
		<(sed -n -E 's/^What:\t+//p' "$abi" |
			sed -n -E 's,^(.*/|rust_livepatch\.)([a-z_]+)( .*)?$,\2,p' |
			grep -vx rust_livepatch | sort)
}

# Remove one SAFETY comment, or one section "# Safety", from a copy of a file: unsafe-table must
# fail for that copy. Try this for each of them.
missing_safety_is_noticed() {
	local comment='^ *// SAFETY:|^ +/// # Safety$' spoilt=$out/spoilt file nr all

	mkdir -p "$spoilt"
	for file in "$top"/rust/{kernel,api}/*.rs "$top"/samples/*/*.rs; do
		for ((nr = $(grep -cE "$comment" "$file"); nr > 0; nr--)); do
			awk -v nr=$nr -v comment="$comment" '$0 !~ comment || ++n != nr' \
				"$file" >"$spoilt/$(basename "$file")-$nr"
		done
	done
	all=$(cd "$spoilt" && printf '%s\n' *)
	(($(wc -l <<<"$all") > 100)) || return 1
	if "$scripts/doc/unsafe-table" "$spoilt"/* 2>"$out/noticed"; then return 1; fi
	diff -u <(sort <<<"$all") <(sed 's,.*/,,; s,:.*,,' "$out/noticed" | sort -u)
}

# Print a pattern for each message of the loader. Formatted values match anything, and the name of
# the patch at the beginning is left out. If a message consists of formatted values only, its texts
# are in the arms of a match: "=> (TEXT, ERRNO)".
message_patterns() {
	perl -0ne 's{^\s*//.*$}{}mg;
		my $call = qr/(?:\bpr_(?:emerg|err|warn|notice|info)|\bdebug)!?\(\s*/;
		while (/$call(?:KBUILD_MODNAME )?"((?:[^"\\]|\\.)*)"|=> \("([^"]*)", E/g) {
			my $text = ($1 // $2) =~ s/\\n$//r =~ s/^: //r
				=~ s/^(patch )?\x27\{\}\x27:? //r;
			my @parts = map { s/[][().*+?^\$|\\{}]/\\$&/gr }
				split /\{[^}]*\}|%[a-z]+/, $text, -1;
			print join(".*", @parts), "\n"
				if $text =~ s/\{[^}]*\}|%[a-z]+//gr =~ /[a-z]/;
		}' "$top"/rust/{livepatch,kernel,api}/*.rs "$top"/rust/helpers/*.c | sort -u
}

# The user guide must have each message in a literal.
same_messages() {
	local literals patterns missing

	literals=$(tr '\n' ' ' <"$top/Documentation/user-guide.rst" | grep -oP '``\K.*?(?=``)')
	patterns=$(message_patterns)
	(($(wc -l <<<"$patterns") > 85)) || {
		echo "there must be more messages than these: $patterns"
		return 1
	}
	missing=$(while IFS= read -r pattern; do
		grep -qE -- "$pattern" <<<"$literals" || echo "not in user-guide.rst: $pattern"
	done <<<"$patterns")
	echo "$missing"
	[[ ! $missing ]]
}

check_documents() {
	local packages=$CACHE_DIR/unpacked/docutils/usr/lib/python3/dist-packages

	"$scripts/root/inroot" env PYTHONPATH="$packages" python3 "$scripts/doc/check" "$@"
}

# Each of these files names something that does not exist. The check must find each of them.
dead_links_are_found() {
	local files=$out/dead

	mkdir "$files"
	echo 'See [this](none.md).' >"$files/link.md"
	echo 'See `src/none.rs`.' >"$files/path.md"
	echo 'See ``scripts/none``.' >"$files/path.rst"
	echo 'See ``none.sh``.' >"$files/script.rst"
	echo '/// See [`none`].' >"$files/name.rs"
	echo '/// See [`this`](Self::none).' >"$files/target.rs"
	if check_documents "$files"/* >"$files.out"; then return 1; fi
	cat "$files.out"
	(($(grep -c 'there is no' "$files.out") == 6))
}

# peers.rst claims nothing without a test: each test that it names must exist.
named_tests_exist() {
	local names name missing=0

	mapfile -t names < <(tr '\n' ' ' <"$top/Documentation/peers.rst" |
		grep -oP '``make check(-system)? T=\K[a-z,-]+|``scripts/part \K[a-z.-]+' |
		tr ',' '\n' | sort -u)
	((${#names[@]} >= 12)) || {
		echo "there must be more names than these: ${names[*]}"
		return 1
	}
	for name in "${names[@]}"; do
		[[ -x $scripts/checks/$name ]] || grep -qxE "([a-z]+/)?$name" \
			"$top"/selftests/TESTS "$top"/selftests/system/TESTS || {
			echo "there is no test: $name"
			missing=1
		}
	done
	((missing == 0))
}

rm -rf "$out"
mkdir -p "$out"
result "tables agree with the source" same_tables
result "the tests in the comparison with peers exist" named_tests_exist
result "unsafe code without a reason is found" missing_safety_is_noticed
result "ABI has every file and parameter" same_abi_entries
result "the user guide has every message" same_messages

if "$scripts/root/unpack" docutils "$SUITE" python3-docutils >/dev/null; then
	result "dead links and names are found" dead_links_are_found
	mapfile -t documents < <(find "$top" -path "$CACHE_DIR" -prune -o \
		-path "$top/build" -prune -o \
		\( -name '*.md' -o -name '*.rst' -o -name '*.rs' \) -print | sort)
	check_documents "${documents[@]}" "$abi" || rc=1
else
	echo "not ok - docs # docutils cannot be unpacked"
	rc=1
fi
exit $rc
