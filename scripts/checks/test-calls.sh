#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Compare the indirect calls of the built loader with the list in selftests/ibt/calls. If the kernel
# enforces IBT, it crashes at an indirect call to a function that is not meant to be called
# indirectly. So an address that was looked up by name must not be called in this way, and each
# indirect call needs a test on a CPU with IBT. The kernel's own paravirtual operations are not
# checked. Prints TAP.

. "$(dirname "$0")/../lib/env.sh"
. "$scripts/lib/tap.sh"
suite=calls
list=$top/selftests/ibt/calls
module=$(out_dir)/rust_livepatch.ko
patch=$(out_dir)/selftests/lib/rlp_patch_a.ko

# Print the functions of the loader that call or jump through a pointer, in a register or in memory.
# Brackets and type parameters are removed from the names.
callers() {
	tool objdump -drC --no-show-raw-insn "$module" | awk '
		/^[0-9a-f]+ <.*>:$/ {
			name = substr($0, index($0, "<") + 1)
			sub(/>:$/, "", name)
			while (gsub(/Node<[^<>]*(<[^<>]*>)*[^<>]*>/, "Node", name)) ;
			gsub(/[<>]/, "", name)
			next
		}
		by_memory { by_memory = 0; if (!/pv_ops/) print name }
		/__x86_indirect_(thunk|call_thunk|jump_thunk)/ ||
			/(call|jmp) +(\*|%)?\*%/ { print name; next }
		/(call|jmp) +\*/ { by_memory = 1 }
	' | sort -u
}

# Print the functions of the loader that may be called through a pointer.
callees() {
	"$scripts/root/inroot" "$scripts/lib/entries" "$module" | cut -f 2 | sort -u
}

# listed KINDS COMMAND: each name that the command prints must match one line of these kinds. Each
# of these lines must match a name. With another configuration (KDIR=) the loader may lack
# functions.
listed() {
	"$2" | awk -v kind="$1" -v other="${KDIR:+1}" '
		NR == FNR {
			if ($1 ~ kind) pattern[++lines] = "^(" substr($0, length($1) + 2) ")$"
			next
		}
		{
			matches = 0
			for (i = 1; i <= lines; i++)
				if ($0 ~ pattern[i]) { matches++; used[i] = 1 }
			if (matches != 1) { print matches " lines of the list match " $0; bad = 1 }
		}
		END {
			for (i = 1; i <= lines; i++)
				if (!other && !(i in used)) {
					print "no function matches " pattern[i]
					bad = 1
				}
			exit bad || !lines || NR == FNR
		}' "$list" -
}

# The tests of the list must run in a guest with IBT.
tests_run() {
	local name

	sed -n 's/^\t.*; //p' "$list" | tr -d ' ' | tr ',' '\n' | grep -vx -e - | sort -u |
		while read -r name; do
			grep -qE "^ibt-(one|two):.* $name( |\$)" \
				"$top/selftests/ibt/TESTS" || {
				echo "no guest with IBT runs $name"
				exit 1
			}
		done
}

# The test replacements needs one replacement with an ENDBR, and one without.
replacements_differ() {
	local code

	code=$(tool objdump -d --no-show-raw-insn --disassemble=bare "$patch" &&
		tool objdump -d --no-show-raw-insn --disassemble=say "$patch")
	echo "$code"
	[[ $(grep -A 1 '<say>:$' <<<"$code") == *endbr64 ]] &&
		[[ $(grep -A 1 '<bare>:$' <<<"$code") == *?$'\n'* ]] &&
		[[ $(grep -A 1 '<bare>:$' <<<"$code") != *endbr64 ]]
}

# ftrace takes the lowest bit of the address of a stub for a flag. Without an alignment, the address
# may be even by chance.
stubs_are_aligned() {
	local addresses

	addresses=$(tool nm "$module" | sed -nE 's/^0*([0-9a-f]+) T rlp_stub_.*/\1/p')
	echo "$addresses"
	[[ $(wc -l <<<"$addresses") == 2 ]] && ! grep -v '0$' <<<"$addresses"
}

[[ $(uname -m) == x86_64 && -e $module ]] || {
	echo "not ok - calls: there is no $module"
	exit 1
}
result "each function that calls through a pointer is in the list" listed '^out$' callers
if grep -qx CONFIG_X86_KERNEL_IBT=y "$kernel/.config"; then
	result "each function that is called through a pointer is in the list" listed '^(in|one)$' callees
	[[ ! -e $patch ]] ||
		result "one replacement has an ENDBR, and one has none" replacements_differ
else
	echo "ok - calls: functions called through a pointer # SKIP the kernel has no IBT"
fi
result "a guest with IBT runs each test of the list" tests_run
result "the address of each stub for ftrace is aligned" stubs_are_aligned
exit $rc
