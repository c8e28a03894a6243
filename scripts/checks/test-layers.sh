#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Check that the loader's files use each other in one direction only. The groups of `mod` lines in
# loader.rs are the layers, lowest first. A comment "// Layer: NAME" begins each layer. A file may
# use files of lower layers. Files of one layer may use each other, but not in a circle. The check
# must also refuse spoilt copies of these files. Prints TAP lines.

. "$(dirname "$0")/../lib/env.sh"
. "$scripts/lib/tap.sh"
suite=layers
loader=$top/rust/livepatch
spoilt=$(out_dir)/test-layers

# The functions below read the files of $folder.

# Print "FILE LAYER" for each file in a layer.
layers() {
	awk '
		/^\/\/ Layer: / { layer++ }
		/^(pub(\([a-z]+\))? )?mod [a-z0-9_]+;/ { sub(/;.*/, ""); print $NF, layer + 0 }
	' "$folder/loader.rs"
}

# imports FILE: print the files that it imports: crate::NAME and super::NAME, in braces too.
imports() {
	sed 's,//.*,,' "$1" | tr '\n' ' ' | sed -E 's/\b(crate|super)::/\n/g' | tr -d ' \t' | awk '
		NR == 1 { next }
		/^[a-z]/ { sub(/[^a-z0-9_].*/, ""); print; next }
		{
			# Print the first word of each item in the outer braces.
			depth = 0
			for (i = 1; i <= length($0); i++) {
				c = substr($0, i, 1)
				if (depth == 1 && c !~ /[{,]/ && begins) {
					name = substr($0, i)
					sub(/[^a-z0-9_].*/, "", name)
					print name
				}
				begins = c ~ /[{,]/
				depth += (c == "{") - (c == "}")
				if (depth == 0) break
			}
		}
	' | grep . | sort -u
}

# Print "FILE IMPORTED" for each import of another file.
edges() {
	local file name import

	for file in "$folder"/*.rs; do
		name=$(basename "$file" .rs)
		for import in $(imports "$file"); do
			[[ $name == loader || $name == "$import" || ! -e $folder/$import.rs ]] ||
				echo "$name $import"
		done
	done
}

# Print each violation. Reads ${layer[FILE]} and $edges.
violations() {
	local file name import

	for file in "$folder"/*.rs; do
		name=$(basename "$file" .rs)
		[[ $name == loader || ${layer[$name]:-0} != 0 ]] || echo "$name.rs is in no layer"
	done
	while read -r name import; do
		[[ ! $name ]] || ((${layer[$name]:-0} >= ${layer[$import]:-0})) ||
			echo "$name.rs uses $import.rs, which is in a higher layer"
	done <<<"$edges"
	# tsort names the members of a circle.
	{ tsort <<<"$edges" 2>&1 >/dev/null || true; } |
		sed -n 's/^tsort: -: input.*/a circle:/p; s/^tsort: \([a-z_]*\)$/\1.rs/p'
}

# check FOLDER: print what is wrong with the imports of the files there. Fails if something is
# wrong, or if there are too few files and imports for a loader.
check() {
	local folder=$1 name number edges violations
	local -A layer

	while read -r name number; do
		layer[$name]=$number
	done < <(layers)
	edges=$(edges)
	violations=$(violations)
	echo "${#layer[@]} files, $(wc -l <<<"$edges") imports"
	[[ ! $violations ]] || echo "$violations"
	[[ ! $violations ]] && ((${#layer[@]} > 20 && $(wc -l <<<"$edges") > 40))
}

# append FILE TEXT: append the text to a file of the spoilt copy.
append() {
	printf '%b\n' "$2" >>"$spoilt/$1.rs"
}

# refused SPOIL LINE...: spoil a copy of the files by this command. The check must fail and print
# each of these lines.
refused() {
	local spoil=$1 line
	shift

	rm -rf "$spoilt"
	mkdir -p "$spoilt"
	cp "$loader"/*.rs "$spoilt/"
	eval "$spoil"
	if check "$spoilt" >"$spoilt/output"; then
		echo "the check accepts the copy"
		return 1
	fi
	cat "$spoilt/output"
	for line; do
		grep -qxF "$line" "$spoilt/output" || return 1
	done
}

result "no import goes upward, none is in a circle, and each file is in a layer" check "$loader"
upward="table.rs uses sysfs.rs, which is in a higher layer"
result "an upward import is refused" refused "append table 'use crate::sysfs;'" "$upward"
result "an upward import in braces is refused" \
	refused "append table 'use crate::{\n    ranges, //\n    sysfs::{\n        A, //\n    },\n};'" "$upward"
result "an upward path in code is refused" \
	refused "append table 'fn f() { super::sysfs::f() }'" "$upward"
result "a circle in one layer is refused" \
	refused "append settle 'use crate::evict;'; append evict 'use crate::settle;'" \
	"a circle:" evict.rs settle.rs
result "a file in no layer is refused" refused "sed -i '/^mod settle;/d' '$spoilt/loader.rs'" \
	"settle.rs is in no layer"
exit $rc
