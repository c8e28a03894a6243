#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Is the documentation well formed, and does it say what the source says? TAP.

. "$(dirname "$0")/env.sh"
. "$tools/tap.sh"
suite=docs
out=$(out_dir)/test-docs
abi=$top/Documentation/ABI/sysfs-kernel-rust-livepatch

same_tables() {
	"$tools/doc-tables" "$out/tables"
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
	if "$tools/doc-unsafe" "$spoilt"/* 2>"$out/noticed"; then return 1; fi
	diff -u <(sort <<<"$all") <(sed 's,.*/,,; s,:.*,,' "$out/noticed" | sort -u)
}

# Each message's longest stretch without a value is in the user guide.
same_messages() {
	local texts missing

	texts=$(perl -0ne 'while (/\bpr_(?:err|warn|notice)!?\(\s*"((?:[^"\\]|\\.)*)"/g) {
			my ($longest) = sort { length $b <=> length $a }
				split /\x27?\{[^}]*\}\x27?|\x27?<?%[a-z]+/, $1 =~ s/\\n$//r;
			print "$longest\n" if length $longest > 3;
		}' "$top"/rust/{livepatch,kernel,api}/*.rs "$top"/rust/helpers/*.c | sed 's/^:* *//; s/ *$//' | sort -u)
	(($(wc -l <<<"$texts") > 40)) || {
		echo "there should be more messages: $texts"
		return 1
	}
	missing=$(while IFS= read -r text; do
		grep -qF -- "$text" "$top/Documentation/user-guide.rst" || echo "not in user-guide.rst: $text"
	done <<<"$texts")
	echo "$missing"
	[[ ! $missing ]]
}

rm -rf "$out"
mkdir -p "$out"
result "tables are those of the source" same_tables
result "unsafe code without a reason is found" unsafe_is_noticed
result "ABI has every file and parameter" same_files
result "the user guide has every message" same_messages

if "$tools/unpack" docutils "$SUITE" python3-docutils >/dev/null; then
	"$tools/inroot" env PYTHONPATH="$CACHE_DIR/unpacked/docutils/usr/lib/python3/dist-packages" \
		python3 "$tools/doc-check" "$top/README.md" "$top"/Documentation/*.rst "$abi" || rc=1
else
	echo "not ok - docs # docutils cannot be had"
	rc=1
fi
exit $rc
