#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Check that Documentation/parity.rst has a row for each function, structure member, callback,
# attribute and message of in-tree livepatch in the source of this kernel, and that each row has a
# text. Prints TAP.

. "$(dirname "$0")/../lib/env.sh"
source=$(kernel_source)
table=$top/Documentation/parity.rst
klp=$source/kernel/livepatch
header=$source/include/linux/livepatch.h

rc=0
# The last command of a pipeline is covered(), which sets rc.
shopt -s lastpipe

# covered WHAT <NAMES: each name must have a row.
covered() {
	local what=$1 name missing=() count=0

	while read -r name; do
		count=$((count + 1))
		grep -qF "   \`\`$name\`\` | " "$table" || missing+=("$name")
	done
	if ((count == 0)); then
		echo "not ok - parity: $what # none found in $source"
		rc=1
	elif ((${#missing[@]})); then
		printf '# no row for: %s\n' "${missing[@]}"
		echo "not ok - parity: $what"
		rc=1
	else
		echo "ok - parity: a row for each of $count $what"
	fi
}

if [[ ! -d $klp ]]; then
	echo "ok - parity # SKIP no kernel source"
	exit 0
fi

# A definition begins at the start of a line, and its name is in front of the first bracket.
{
	sed -nE 's/^[a-z].*[ *]((__)?[a-z_]*(klp|_show|_store|clear_relocate)[a-z_]*)\(.*/\1()/p' \
		"$klp"/*.[ch] "$header" "$source/include/linux/livepatch_sched.h" |
		grep -v '^_*DEFINE'
	sed -nE 's/^#define (klp_for_each_[a-z_]*)\(.*/\1/p' "$header"
	sed -nE 's/^#define (_*KLP_[A-Za-z0-9_]+).*/\1/p' \
		"$source/include/linux/livepatch_helpers.h"
} | sort -u | covered functions

awk '/^struct klp_[a-z_]+ \{/ { name = $2; if (name == "klp_callbacks") name = "" }
	name && /;$/ && !/^}/ {
		sub(/^[^,]*[ \t*(]/, "&\001"); sub(/.*\001/, "")
		gsub(/[];,*[]/, " ")
		n = split($0, member, " ")
		for (i = 1; i <= n; i++) print name "." member[i]
	}
	/^};/ { name = "" }' "$header" "$source/include/linux/livepatch_external.h" "$klp"/*.[ch] |
	sort -u | covered "structure members"

awk '/^struct klp_callbacks \{/ { on = 1 }
	on && match($0, /\(\*[a-z_]+\)/) {
		print "klp_callbacks." substr($0, RSTART + 2, RLENGTH - 3)
		next
	}
	on && /;$/ && !/^}/ { gsub(/;/, ""); sub(/^\*/, "", $NF); print "klp_callbacks." $NF }
	/^};/ { on = 0 }' "$source"/include/linux/livepatch_external.h | sort -u | covered callbacks

sed -nE 's/.*__ATTR_[A-Z]+\(([a-z_]+)\).*/\1/p' "$klp/core.c" | sort -u | covered attributes

# ONE("patch_state", S_IRUSR, proc_pid_patch_state)
sed -nE 's/.*ONE\("([a-z_]+)",.* proc_pid_patch_state\).*/\/proc\/<pid>\/\1/p' \
	"$source/fs/proc/base.c" | sort -u | covered "files in /proc"

perl -0ne 'while (/\b(?:pr_\w+|WARN)\((?:1, )?\s*((?:"(?:[^"\\]|\\.)*"\s*)+)/g) {
		my $text = $1;
		$text =~ s/"\s*"//g; $text =~ s/^"|"\s*$//g; $text =~ s/\\n$//;
		print "$text\n";
	}' "$klp"/*.c | sort -u | covered messages

if grep -nE '^   ``.*`` \|[[:space:]]*$' "$table" | sed 's/^/# /' | grep .; then
	echo "not ok - parity: each row has a text"
	rc=1
else
	echo "ok - parity: each row has a text"
fi
exit $rc
