#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Check "rlp-build triage": its verdict on each fix of a series, the module of all fixes that fit
# together, and its JSON. The JSON files of triage and of each build must have the form that
# Documentation/schema/ describes. This script makes the series by editing copies of the fetched
# source.

. "$(dirname "$0")/../lib/env.sh"
. "$scripts/lib/edit.sh"
. "$scripts/lib/tap.sh"
suite=triage
test=$(out_dir)/test-triage
series=$test/series
source=$(kernel_source)
schemas=$top/Documentation/schema

uses_build_root || {
	echo "ok - triage # SKIP with KDIR= there is no shipped kernel to compare with"
	exit 0
}

# fix NAME FILE SED-SCRIPT: run the sed script on the file in $test/tree, and make a patch from the
# difference. With KEEP=1, the change stays in $test/tree, and later fixes are made on top of it.
fix() {
	local file=$test/tree/$2

	mkdir -p "${file%/*}"
	[[ -e $file ]] || cp "$source/$2" "$file"
	{
		printf 'Subject: [PATCH] %s\n\nThis is CVE-2026-1000.\n---\n' "$1"
		diff_of_edit "$test/tree" "$2" "$3"
	} >"$series/$1.patch"
	[[ ! ${KEEP:-} ]] || sed -i -E "$3" "$file"
}

triage() { # ARGUMENT...
	SRCPATCH=$series NAME=all_fixes OUT=$test/out "$scripts/triage" \
		--built "$@" >"$test/log" 2>&1
}

# row NAME VERDICT REASON: the table has this row.
row() {
	cat "$test/log"
	grep -qE "^  $1\.patch +$2 +$3\$" "$test/log"
}

# value EXPRESSION EXPECTED: this expression of the JSON has this value.
value() {
	local found

	found=$(tool python3 -c 'import json, sys
t = json.load(open(sys.argv[1]))
fix = {f["patch"].removesuffix(".patch"): f for f in t["fixes"]}
print(json.dumps(eval(sys.argv[2])))' "$test/out/triage.json" "$1")
	echo "$found"
	[[ $found == "$2" ]]
}

# is_valid SCHEMA FILE: the file has the form of the schema.
is_valid() {
	"$scripts/root/unpack" "jsonschema-$SUITE" "$SUITE" python3-jsonschema >/dev/null &&
		"$scripts/root/inroot" env \
			PYTHONPATH="$CACHE_DIR/unpacked/jsonschema-$SUITE/usr/lib/python3/dist-packages" \
			python3 -W ignore -m jsonschema -i "$2" "$schemas/$1.schema.json"
}

# is_invalid SCHEMA FILE SED-SCRIPT: a copy of the file that the script has changed is refused.
is_invalid() {
	sed -E "$3" "$2" >"$test/spoilt.json"
	! cmp -s "$2" "$test/spoilt.json" || return
	! is_valid "$1" "$test/spoilt.json" || return
}

# The reasons of a refusal are the same in the source and in the documentation, and the schema has
# all of them.
same_reasons() {
	local source documented schema

	source=$(sed -n -E '/fn reason/,/^    \}/s/.*=> "([a-z-]+)",/\1/p' \
		"$top/tools/rlp-build/src/refusal.rs" | sort)
	documented=$(sed -n -E '/^What is refused/,/^Which fixes/s/^``([a-z-]+)`` .*/\1/p' \
		"$top/Documentation/source-patches.rst" | sort)
	schema=$(tool python3 -c 'import json, sys
print(*json.load(open(sys.argv[1]))["$defs"]["reason"]["enum"], sep="\n")' \
		"$schemas/triage.schema.json" | sort)
	(($(wc -l <<<"$source") > 20)) || return
	diff -u <(echo "$source") <(echo "$documented") &&
		[[ ! $(comm -23 <(echo "$source") <(echo "$schema")) ]]
}

rm -rf "$test"
mkdir -p "$series"
shown='^\tseq_puts\(m, saved_command_line\);'
KEEP=1 fix 1-first fs/proc/cmdline.c "s/$shown"'/\tseq_puts(m, "first ");\n&/'
KEEP=1 fix 2-second fs/proc/cmdline.c 's/"first "/"second "/'
fix 3-lock fs/proc/version.c \
	's/^\tseq_printf\(m, linux_proc/\trcu_read_lock();\n\trcu_read_unlock();\n&/'
fix 4-data net/core/pktgen.c \
	's/^static int pg_count_d.*=/static int pg_count_d __read_mostly = 7 +/'
fix 5-init fs/proc/uptime.c 's/^\tpde_make_permanent\(pde\);//'
fix 6-entry kernel/trace/trace_clock.c 's/clock = sched_clock\(\);/clock = sched_clock() + 1;/'
rm -r "$test/tree"
fix 7-conflict fs/proc/cmdline.c "s/$shown"'/\tseq_puts(m, "conflict ");\n&/'
echo "no patch" >"$series/8-text.patch"

result "the series is built" triage
result "a fix builds" row 1-first builds -
result "a fix builds on top of an earlier one" row 2-second builds -
result "a change of locks is for a person" row 3-lock human -
result "a change of data is for a person" row 4-data human changed-data
result "init code is for a person" row 5-init human init
result "a function without fentry is refused" row 6-entry refused no-fentry
result "a fix that conflicts with another builds alone" row 7-conflict builds -
result "a text is refused" row 8-text refused not-a-patch
result "the earlier fix is named" value 'fix["2-second"]["after"]' '["1-first.patch"]'
result "no other fix depends on an earlier one" \
	value '[n for n in fix if fix[n]["after"]]' '["2-second"]'
result "the questions for a person are named" \
	value '[[c["kind"] for c in fix[n]["human"]] for n in fix if fix[n]["human"]]' \
	'[["lock-order"], ["data-change"], ["callback"]]'
result "the functions are named" value '[f["functions"] for f in t["fixes"] if f["functions"]][0]' \
	'[{"object": "vmlinux", "name": "cmdline_proc_show"}]'
result "the header is read" \
	value '[fix["3-lock"]["subject"], fix["3-lock"]["cves"]]' '["3-lock", ["CVE-2026-1000"]]'
result "the fixes that fit together are listed" \
	value 't["together"]["patches"]' '["1-first.patch", "2-second.patch", "3-lock.patch"]'
result "the fix that conflicts is left out" \
	value '[[l["patch"], l["reason"]] for l in t["together"]["left_out"]]' \
	'[["7-conflict.patch", "does-not-apply"]]'
result "the fix for a person is named again" value 't["together"]["human"]' '["3-lock.patch"]'
result "they are one module" \
	value '[t["together"]["module"], sorted(f["name"] for f in t["together"]["functions"])]' \
	'["all_fixes.ko", ["cmdline_proc_show", "version_proc_show"]]'
result "that module is there" test -s "$test/out/all_fixes.ko"
result "the counts are right" \
	value 't["counts"]' '{"builds": 3, "human": 3, "refused": 2, "failed": 0}'
result "a refused fix leaves no module" \
	value '[n for n in fix if fix[n]["reason"] and fix[n]["module"]]' '[]'
only_built() {
	(cd "$test/out" && printf '%s\n' *.ko) |
		diff -u - <(printf '%s.ko\n' 1_first 2_second 3_lock 7_conflict all_fixes)
}
result "there are no other modules" only_built

result "triage.json has the form of its schema" is_valid triage "$test/out/triage.json"
result "a proof has the form of its schema" is_valid proof "$test/out/all_fixes.proof.json"
result "a verdict that does not exist is refused" \
	is_invalid triage "$test/out/triage.json" '0,/"builds"/s//"perhaps"/'
result "a fix that builds has no reason" \
	is_invalid triage "$test/out/triage.json" '0,/"reason": null/s//"reason": "init"/'
result "an unknown member is refused" \
	is_invalid proof "$test/out/all_fixes.proof.json" 's/"level"/"levels"/'
result "a short hash is refused" \
	is_invalid proof "$test/out/all_fixes.proof.json" 's/"[0-9a-f]{64}"/"0123"/'
result "the reasons are the same everywhere" same_reasons
# kbuild makes a header for this unit. The second build takes the unit from the cache.
generated_header() {
	local patch=$test/made.patch

	mv "$series" "$test/whole" && mkdir "$series" || return
	fix 9-made security/selinux/ss/avtab.c \
		'/^int avtab_alloc\(/,/^}/s/^\tif \(nrules != 0\)/\tpr_info_once("SELinux: live patched\\n");\n&/' || return
	cp "$series/9-made.patch" "$patch"
	rm -r "$series" && mv "$test/whole" "$series"
	for _ in 1 2; do
		SRCPATCH=$patch NAME='' OUT=$test "$scripts/livepatch" --built || return
	done
}
result "a unit with a generated header builds twice" generated_header
# The first fix does not compile without the second one, which is built on top of it.
none_is_left() {
	local needs=$test/needs

	mv "$series" "$test/whole" && mkdir "$series" || return
	KEEP=1 fix 1-incomplete fs/proc/version.c \
		's/^\tseq_printf\(m, linux_proc/\trlp_missing(m);\n&/'
	fix 2-completes fs/proc/version.c 's/^\trlp_missing\(m\);/\tseq_puts(m, "complete ");/'
	rm -r "$test/tree" && mv "$series" "$needs" && mv "$test/whole" "$series" || return
	SRCPATCH=$needs NAME='' OUT=$test/out-needs "$scripts/triage" --built >"$test/log" 2>&1
	row 1-incomplete refused does-not-compile && row 2-completes builds - &&
		grep -qxF "  no fix is left, so there is no module of all fixes" "$test/log"
}
result "a fix whose earlier fix does not build is in no module of all" none_is_left
same_alone() {
	cp "$test/out/triage.json" "$test/first.json"
	SRCPATCH=$series/1-first.patch OUT=$test/out "$scripts/triage" \
		--built --no-together --jobs 1 &&
		tool python3 -c 'import json, sys
a, b = (json.load(open(f)) for f in sys.argv[1:])
assert a["fixes"][:1] == b["fixes"] and b["together"] is None' \
		"$test/first.json" "$test/out/triage.json"
}
result "one patch alone gives the same result" same_alone
exit $rc
