#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Compare rlp with its units of systemd, and with the guides, which must have each of its messages.

. "$(dirname "$0")/../lib/env.sh"
. "$scripts/lib/tap.sh"
suite=rlp

# With livepatch.off on the kernel's command line, no patch is loaded at boot. The condition of the
# unit and the program rlp must both have this word.
units() {
	local unit=$top/tools/rlp/systemd/rlp-boot.service

	grep -qx 'ConditionKernelCommandLine=!livepatch.off' "$unit" &&
		grep -qF '"livepatch.off"' "$top/tools/rlp/src/boot.rs" &&
		grep -qx 'ExecStart=-/usr/bin/rlp boot' "$unit" &&
		grep -qx 'ExecStart=/usr/bin/rlp heartbeat' "${unit/boot/heartbeat}" &&
		grep -qx 'OnSuccess=rlp-heartbeat.service' "${unit/boot/boot-survived}" &&
		grep -qx 'FixedRandomDelay=true' "$top/tools/rlp/systemd/rlp-heartbeat.timer"
}

# The kernel of a container is that of its host, so no unit does anything there.
not_in_containers() {
	local services service

	services=("$top"/tools/rlp/systemd/*.service)
	((${#services[@]} >= 5)) || return
	for service in "${services[@]}"; do
		grep -qx 'ConditionVirtualization=!container' "$service" || {
			echo "runs in a container: $service"
			return 1
		}
	done
}

# The trigger of the package starts a run only if the timer of the runs is enabled and active.
trigger() {
	local fake enabled active expected output

	fake=$(out_dir)/test-rlp-trigger
	rm -rf "$fake"
	mkdir -p "$fake"
	printf '%s\n' '#!/bin/sh' 'case "$*" in' '*is-enabled*) exit "$ENABLED" ;;' \
		'*is-active*) exit "$ACTIVE" ;;' '*) echo "$*" ;;' 'esac' >"$fake/systemctl"
	chmod +x "$fake/systemctl"
	for enabled in 0 1; do
		for active in 0 3; do
			expected=''
			((enabled || active)) || expected='--no-block start rlp-apply.service'
			output=$(PATH=$fake:$PATH ENABLED=$enabled ACTIVE=$active \
				sh "$top/debian/rlp.postinst" triggered /usr/share/rlp/level)
			[[ $output == "$expected" ]] || {
				echo "is-enabled ends with $enabled, is-active with $active"
				return 1
			}
		done
	done
}

# rlp_texts FILE...: print each text in source files of rlp, except in comments, attributes and unit
# tests. A text is a literal with two words or more, whatever the program does with it: failures,
# reasons, advice, notes, answers, and what only a person reads.
rlp_texts() {
	perl -0777 -ne 's/#\[cfg\(test\)\].*//s; s{^\s*//.*$}{}mg; s/#\[[^\]]*\]//g; s/\x27"\x27//g; s/\bb"(?:[^"\\]|\\.)*"//g;
		while (/"((?:[^"\\]|\\.)*)"/sg) {
			my $text = $1 =~ s/\\\n\s*//gr =~ s/\\n/ /gr =~ s/^\s+|\s+$//gr;
			print "$text\n"
				if $text =~ s/\{[^}]*\}//gr =~ /[a-z]{2}[^a-z]* [^a-z]*[a-z]/;
		}' "$@"
}

# not_in GUIDE FILE...: print each text of these files that no guide for users of rlp has in a
# literal. The guides are this one, and those for auditors, for operators of many machines and for
# publishers of levels. Formatted values match anything. Texts that only tests see (--root) are left
# out. Two other texts are no messages of rlp, and are left out, too: rlp searches for one in errors
# of the standard library, and for the other in the log of a panic.
not_in() {
	local guide=$1 literals text pattern
	shift

	literals=$(cat "$guide" \
		"${guide%/*}"/{evidence,fleet,monitoring,report,repository,tables/messages}.rst |
		tr '\n' ' ' | tr -s ' ' | grep -oP '``\K.*?(?=``)')
	while IFS= read -r text; do
		pattern=$(perl -e 'print join ".*", map { s/[][().*+?^\$|\\]/\\$&/gr } split /\{[^}]*\}/, $ARGV[0], -1' -- "$text")
		grep -qxE -e "$pattern" <<<"$literals" || echo "not in ${guide##*/}: $text"
	done < <(rlp_texts "$@" |
		grep -vF -e --root -e '(os error' -e 'the kernel panics while' | sort -u)
}

# The guides must have each text of rlp. cli.rs has the help, which is a
# guide itself, and the words in reasons.rs are in the generated table (test-docs.sh).
same_messages() {
	local files missing

	mapfile -t files < <(printf '%s\n' "$top"/tools/rlp/src/{,*/}*.rs |
		grep -vE '/(cli|reasons)\.rs$|_tests\.rs$')
	(($(rlp_texts "${files[@]}" | sort -u | wc -l) > 200)) || {
		echo "there must be more texts than these: $(rlp_texts "${files[@]}")"
		return 1
	}
	missing=$(not_in "$top/Documentation/operating.rst" "${files[@]}")
	echo "$missing"
	[[ ! $missing ]]
}

# A text that no guide has is noticed, whatever it is used for.
missing_messages_are_noticed() {
	local source form

	source=$(out_dir)/test-rlp-spoilt.rs
	mkdir -p "${source%/*}"
	for form in 'failure.why("a text that no guide has")' \
		'change.note(format!("a text that {name} has"))' \
		'refused("a text that no guide has".to_owned())' '.next("a text \
			 that no guide has")' 'booted.lines.push("a text that no guide has")' \
		'(Kind::Idle, _) => "a text that no guide has",' \
		'let _ = writeln!(text, "  a text that {} has", x);'; do
		echo "$form" >"$source"
		[[ $(not_in "$top/Documentation/operating.rst" "$source") == *"a text that"* ]] || {
			echo "not noticed: $form"
			return 1
		}
	done
}

result "the unit of the boot" units
result "no unit does anything in a container" not_in_containers
result "the trigger of the package" trigger
result "the guides have every message" same_messages
result "a message that the guide lacks is noticed" missing_messages_are_noticed
exit $rc
