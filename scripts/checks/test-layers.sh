#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# test-layers.sh [FOLDER]: check that the loader's files use each other in one direction only. The
# groups of `mod` lines in loader.rs are the layers, lowest first. A comment "// Layer: NAME" begins
# each layer. A file may use files of lower layers. Files of one layer may use each other, but not
# in a circle. FOLDER is another folder with a loader.rs. Prints TAP lines.

. "$(dirname "$0")/../lib/env.sh"
folder=${1:-$top/rust/livepatch}

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

# Print each violation.
faults() {
	local file name

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

declare -A layer
while read -r name number; do
	layer[$name]=$number
done < <(layers)
edges=$(edges)
faults=$(faults)
if [[ ! $faults ]] && ((${#layer[@]} > 20 && $(wc -l <<<"$edges") > 40)); then
	echo "ok - layers: ${#layer[@]} files, $(wc -l <<<"$edges") imports, none upward and no circle"
else
	sed 's/^/# /' <<<"$faults"
	echo "not ok - layers: imports go upward or in a circle, or a file is in no layer"
	exit 1
fi
