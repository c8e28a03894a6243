#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Patch this running kernel, look at it, and take the patch out again. Prints
# "demo: OK" only if each thing that is shown was seen to be so.

modules=${RLP_MODULES:-/modules}
patch=/sys/kernel/rust_livepatch/rust_livepatch_cmdline
samples=$(mktemp)

die() {
	echo "demo: FAILED: $*"
	exit 1
}

say() {
	printf '\n# %s\n' "$*"
}

# run COMMAND...: show it as if typed.
run() {
	echo "\$ $*"
	"$@" || die "$* (status $?)"
}

# Write down each state that the patch is seen in. A transition takes some
# milliseconds: do nothing but read, and look at what was read afterwards.
watch_patch() {
	local progress transition enabled blocker last=

	exec >"$samples" 2>/dev/null
	echo "(watching)"
	while :; do
		enabled='' transition='' progress='' blocker=''
		read -r progress <$patch/progress
		[[ $progress != "$last" ]] || continue
		last=$progress
		read -r transition <$patch/transition
		read -r blocker <$patch/blockers
		read -r enabled <$patch/enabled
		echo "enabled ${enabled:--}, transition ${transition:--}, progress ${progress:--}, blockers ${blocker:--}"
	done
}

start_watching() {
	: >"$samples"
	watch_patch &
	watcher=$!
	until [[ -s $samples ]]; do
		sleep 0.01
	done
}

# The first states, and the last.
show_moves() {
	kill "$watcher" 2>/dev/null
	wait "$watcher" 2>/dev/null
	sed -n '2,12p' "$samples"
	(($(wc -l <"$samples") <= 12)) || { echo "..." && tail -n 1 "$samples"; }
	grep -q '^enabled' "$samples" || die "nothing was seen of the patch"
	grep -q 'transition 1' "$samples" || echo "(nobody was left to wait for after the first look at all tasks)"
}

settled() {
	local i

	for ((i = 0; i < 300; i++)); do
		[[ $(cat $patch/transition 2>/dev/null) == 1 ]] || return 0
		sleep 0.1
	done
	return 1
}

# A patch that is out of use lets go of its module a moment later.
gone() {
	local i

	for ((i = 0; i < 100; i++)); do
		[[ -e $patch || $(cat "/sys/module/$1/refcnt") != 0 ]] || return 0
		sleep 0.1
	done
	return 1
}

say "an unmodified distribution kernel"
run uname -r
run cat /proc/cmdline
before=$(cat /proc/cmdline)
[[ $before == *RLP_MODE=* ]] || die "this is not the kernel's command line"

# Company, so that there is somebody to wait for.
for ((i = 0; i < 100; i++)); do
	sleep 1000 &
done

say "load the loader, then the patch"
run insmod "$modules/rust_livepatch.ko"
[[ -d /sys/kernel/rust_livepatch ]] || die "no /sys/kernel/rust_livepatch"
start_watching
run insmod "$modules/rust_livepatch_cmdline.ko"
settled || die "the transition does not end"
[[ $(cat $patch/enabled) == 1 ]] || die "the patch is not enabled"

say "it now reads"
run cat /proc/cmdline
[[ $(cat /proc/cmdline) == "this has been live patched" ]] || die "not patched"

say "what sysfs showed meanwhile"
show_moves
run grep -H . $patch/enabled $patch/transition $patch/progress $patch/transition_us
[[ $(cat $patch/transition) == 0 ]] || die "the transition has not ended"
[[ $(cat $patch/transition_us) -gt 0 ]] || die "the transition took no time"

say "take it back"
start_watching
echo "\$ echo 0 > $patch/enabled"
echo 0 >$patch/enabled || die "cannot disable"
settled || die "the transition does not end"
run cat /proc/cmdline
[[ $(cat /proc/cmdline) == "$before" ]] || die "not as it was"

say "what sysfs showed meanwhile"
show_moves

say "remove both modules"
gone rust_livepatch_cmdline || die "the patch is still in use"
run rmmod rust_livepatch_cmdline
[[ ! -e $patch ]] || die "$patch is still there"
run rmmod rust_livepatch
[[ ! -e /sys/kernel/rust_livepatch ]] || die "/sys/kernel/rust_livepatch is still there"
run cat /proc/cmdline
[[ $(cat /proc/cmdline) == "$before" ]] || die "not as it was"
! dmesg | grep -E 'WARNING:|BUG:|Oops' || die "the kernel complained"

echo
echo "demo: OK"
