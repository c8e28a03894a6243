# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # env.sh and parts.sh set variables
#
# Build the program that draws mutants (selftests/mutants/). Sourced after env.sh.

. "${BASH_SOURCE[0]%/*}/crates.sh"

# mutants_cargo COMMAND [ARGUMENT...]: run a command of cargo on the program. The crates are
# Debian's packages of trixie for every suite, because no user gets the program.
mutants_cargo() {
	local sources=$top/selftests/mutants out=$CACHE_DIR/out/$checkout/mutants
	local crates=$CACHE_DIR/unpacked/mutants-crates/usr/share/cargo/registry compiled

	"$scripts/root/unpack" mutants-crates trixie librust-{syn,proc-macro2}-dev
	# Cargo writes next to its manifest, so use a copy of it.
	mkdir -p "$out"
	sed "s|^path = \"|&$sources/|" "$sources/Cargo.toml" >"$out/Cargo.toml"
	compiled=$(crates_folder mutants "$sources/Cargo.toml")
	take_crates "$compiled" "$out/target/debug"
	"$scripts/root/inroot" env RLP_TOP="$top" CARGO_HOME="$CACHE_DIR/cargo" \
		CARGO_TARGET_DIR="$out/target" CARGO_TERM_COLOR=never cargo \
		--config 'source.crates-io.replace-with="debian"' \
		--config "source.debian.directory=\"$crates\"" \
		"$1" --offline --manifest-path "$out/Cargo.toml" "${@:2}" || return
	keep_crates "$compiled" "$out/target/debug" "$1"
}

# Print the path of the program.
mutants_program() {
	echo "$CACHE_DIR/out/$checkout/mutants/target/debug/mutants"
}
