#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Is the documentation well formed, and does it say what the source says? TAP.

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

# Each file in sysfs and each parameter has an entry, and each entry is one of them.
same_files() {
	local rust=$top/rust

	diff -u \
		<({
			sed -n -E 's/.*Attribute::.*c"([a-z_]+)".*/\1/p' "$rust/livepatch/sysfs.rs"
			sed -n -E 's/^module_param(_cb)?\(([a-z_]+),.*/\2/p' "$rust/helpers/params.c"
		} | sort) \
		<(sed -n -E 's/^What:\t+//p' "$abi" | sed -n -E 's,^(.*/|rust_livepatch\.)([a-z_]+)( .*)?$,\2,p' |
			grep -vx rust_livepatch | sort)
}

# Each comment that says why a block is sound, and each section of a method that says
# what makes a call so: without it, that is found.
unsafe_is_noticed() {
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

# Each message, as a pattern: whatever is a value may be anything, and the name of the patch at
# its begin be left out. Of one that is nothing but values the texts are in an array beside it.
messages() {
	perl -0ne 'while (/\bpr_(?:err|warn|notice)!?\(\s*"((?:[^"\\]|\\.)*)"|=> \("([^"]*)", E/g) {
			my $text = ($1 // $2) =~ s/\\n$//r =~ s/^(patch )?\x27\{\}\x27:? //r;
			my @parts = map { s/[][().*+?^\$|\\{}]/\\$&/gr } split /\{[^}]*\}|%[a-z]+/, $text, -1;
			print join(".*", @parts), "\n" if $text =~ s/\{[^}]*\}|%[a-z]+//gr =~ /[a-z]/;
		}' "$top"/rust/{livepatch,kernel,api}/*.rs "$top"/rust/helpers/*.c | sort -u
}

# The user guide has each of them, in a literal.
same_messages() {
	local literals patterns missing

	literals=$(tr '\n' ' ' <"$top/Documentation/user-guide.rst" | grep -oP '``\K.*?(?=``)')
	patterns=$(messages)
	(($(wc -l <<<"$patterns") > 60)) || {
		echo "there should be more messages: $patterns"
		return 1
	}
	missing=$(while IFS= read -r pattern; do
		grep -qE -- "$pattern" <<<"$literals" || echo "not in user-guide.rst: $pattern"
	done <<<"$patterns")
	echo "$missing"
	[[ ! $missing ]]
}

rm -rf "$out"
mkdir -p "$out"
result "tables are those of the source" same_tables
result "unsafe code without a reason is found" unsafe_is_noticed
result "ABI has every file and parameter" same_files
result "the user guide has every message" same_messages

if "$scripts/root/unpack" docutils "$SUITE" python3-docutils >/dev/null; then
	"$scripts/root/inroot" env PYTHONPATH="$CACHE_DIR/unpacked/docutils/usr/lib/python3/dist-packages" \
		python3 "$scripts/doc/check" "$top/README.md" "$top"/{Documentation,selftests/upstream}/*.rst "$abi" || rc=1
else
	echo "not ok - docs # docutils cannot be had"
	rc=1
fi
exit $rc
