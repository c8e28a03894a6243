# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Transitions by either loader while pairs of patched calls run in contexts of the kernel
# (pairs_target.c, pairs_patch.c), on top of lib/common.sh.

# shellcheck disable=SC1091
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"

# Tasks that sleep in the target are released before common.sh unloads the modules.
trap 'pairs_end $?' EXIT

pairs_end() {
	local status=$1

	set +e
	release_pairs
	(exit "$status")
	cleanup
}

release_pairs() {
	[[ ! -e /proc/pairs ]] || echo 0 >/proc/pairs
	wait
}

# hold NUMBER: start one more task that sleeps in the patched function. Return when NUMBER tasks
# sleep there.
hold() {
	echo 1 >/proc/pairs &
	wait_until "read_file /proc/pairs; [[ \$REPLY == 'holding $1'* ]]" ||
		fail "nothing sleeps in pairs_hold()"
}

# reverse_pairs PATCH DIRECTORY NUMBER: enable PATCH, and reverse its transition NUMBER times, but
# stop after 30 s: a busy machine manages fewer reversals. DIRECTORY is the loader's directory in
# sysfs.
# One task sleeps in the old function, and one in the new function. So the transition completes in
# neither direction, and all other tasks are switched each time.
reverse_pairs() {
	local patch=$1 dir=$2/$1 number=$3 i start end

	hold 1
	load_module "$patch"
	hold 2
	start=${EPOCHREALTIME/./} end=$((SECONDS + 30 * ${RLP_SLOW:-1}))
	for ((i = 0; i < number && SECONDS < end; i++)); do
		echo $((i % 2)) >"$dir/enabled"
		nap 0.03
		read_file "$dir/transition"
		[[ $REPLY == 1 ]] || fail "the transition of $patch has ended"
	done
	echo "# $i reversals of $patch, $(((${EPOCHREALTIME/./} - start) / i)) us each"
	release_pairs
	wait_until "read_file $dir/transition; [[ \$REPLY != 1 ]]" 60 ||
		fail "the transition of $patch does not end"
	# If the transition has disabled the patch, its directory is about to be removed.
	{ echo 0 >"$dir/enabled"; } 2>/dev/null || true
	wait_until "[[ ! -d $dir ]]" 60 || fail "$patch is not removed"
	unload_module "$patch"
}

# expect_pairs: each context must have pairs. If a context promises that its pairs are never mixed,
# none of them may be mixed.
expect_pairs() {
	local name promised pairs mixed contexts=0 bad=

	while read -r name promised pairs mixed; do
		[[ $name != holding ]] || continue
		contexts=$((contexts + 1))
		echo "# $name: $mixed of $pairs pairs mixed, $( ((promised)) && echo "none" || echo "any number") allowed"
		((pairs)) || bad+="; no pairs in the context $name"
		((promised == 0 || mixed == 0)) || bad+="; $mixed mixed pairs in the context $name"
	done </proc/pairs
	((contexts)) || fail "no contexts in /proc/pairs"
	[[ ! $bad ]] || fail "${bad#; }"
}
