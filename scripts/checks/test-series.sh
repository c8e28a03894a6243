#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Check the series of scripts/kernel-patches, without building a kernel: it applies to the fetched
# source, checkpatch.pl --strict says nothing, and the gate of its loader is empty. Prints TAP.

. "$(dirname "$0")/../lib/env.sh"
. "$scripts/lib/tap.sh"
suite=series
if [[ ! -e $fetched/version ]]; then
	echo "ok - series # SKIP the source of this kernel was not fetched"
	exit
fi
source=$CACHE_DIR/source/$(<"$fetched/version")
if [[ $(basename "$source") != 7.3.* ]]; then
	echo "ok - series # SKIP the series is made for 7.3"
	exit
fi
out=$(out_dir)/test-series
export MAINTAINER="A Tester <tester@example.org>"

# The repository of the series has only the files of the kernel that the series changes.
written=$CACHE_DIR/out/$checkout/series
applied=$out/applied

write() {
	KERNEL=${1:-$source} DESTDIR=$out/patches "$scripts/kernel-patches"
}

with_git() {
	git -C "$applied" -c user.name=tester -c user.email=tester@example.org "$@"
}

# The repository begins with the files of the source as they are.
begins_with_source() {
	local file

	(cd "$applied" && git ls-files) | while IFS= read -r file; do
		cmp "$source/$file" "$applied/$file" || return
	done
}

# Each patch applies with git am, one after another, to the files of the source.
applies() {
	local first

	rm -rf "$applied"
	git -c advice.detachedHead=false clone -q "$written" "$applied" &&
		first=$(with_git rev-list --max-parents=0 HEAD) &&
		with_git checkout -q "$first" &&
		begins_with_source &&
		with_git am -q "$out"/patches/*.patch &&
		with_git diff --exit-code --stat origin/series
}

# checkpatch.pl [PATCH...]: print what it says. It exits with an error if it says something.
checkpatch() {
	printf '%s\0' "$@" | tool env -C "$source" xargs -0 -n 3 -P "$(nproc)" \
		scripts/checkpatch.pl --strict --no-summary --terse --showfile
}

style() {
	[[ ! $(checkpatch "$out"/patches/*.patch | tee /dev/stderr) ]]
}

# A patch with a line that ends with a space.
bad_style_is_found() {
	local patch

	patch=$(grep -l '^+config RUST_LIVEPATCH$' "$out"/patches/*.patch)
	sed 's/^+config RUST_LIVEPATCH$/& /' "$patch" >"$out/bad.patch"
	grep 'trailing whitespace' < <(checkpatch "$out/bad.patch")
}

# Every symbol of the gate is exported to the loader, except kallsyms_lookup_name(), which only the
# gate itself calls.
gate_is_empty() {
	local exported

	exported=$(sed -nE 's/^\+EXPORT_SYMBOL_FOR_MODULES\(([a-z_]+), "rust_livepatch"\);.*/\1/p' \
		"$out"/patches/*.patch | sort)
	diff -u - <(echo "$exported") < <("$scripts/doc/gate-table" |
		sed -n 's/^``\([a-z_]*\)``.*/\1/p' | grep -vx kallsyms_lookup_name | sort) &&
		! grep -rE 'static_call|kprobe|kallsyms_lookup_name' \
			"$written/kernel/livepatch/rust/helpers"
}

second_loader_is_refused() {
	local tree=$out/tree output

	mkdir -p "$tree"/{rust/kernel,kernel/livepatch/rust}
	touch "$tree/rust/kernel/lib.rs" "$tree/kernel/livepatch/Kconfig"
	! output=$(write "$tree" 2>&1) && grep 'has a loader in kernel/livepatch/rust already' \
		<<<"$output"
}

rm -rf "$out"
mkdir -p "$out"
result "is written" write
result "applies to the source that it was made from" applies
result "has the kernel's style" style
result "a fault of style is found" bad_style_is_found
result "exports each symbol of the gate" gate_is_empty
result "a tree that has the loader is refused" second_loader_is_refused
exit $rc
