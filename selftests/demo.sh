#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Patch the running kernel, show the effect, and unpatch it again. Print "demo: OK" only if each
# step had the effect that it should have.

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

# run COMMAND...: print the command as if it was typed, and run it.
run() {
	echo "\$ $*"
	"$@" || die "$* (status $?)"
}

# Record each state of the patch. A transition takes only some milliseconds, so this loop
# only records, and show_states() evaluates the records later.
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

# Print the first recorded states and the last.
show_states() {
	kill "$watcher" 2>/dev/null
	wait "$watcher" 2>/dev/null
	sed -n '2,12p' "$samples"
	(($(wc -l <"$samples") <= 12)) || { echo "..." && tail -n 1 "$samples"; }
	grep -q '^enabled' "$samples" || die "no state of the patch was recorded"
	grep -q 'transition 1' "$samples" || echo "(all tasks were switched in the first sweep)"
}

settled() {
	local i

	for ((i = 0; i < 300; i++)); do
		[[ $(cat $patch/transition 2>/dev/null) == 1 ]] || return 0
		sleep 0.1
	done
	return 1
}

# The reference to the module of a disabled patch is put a moment later.
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

# Start tasks that the transition has to switch.
for ((i = 0; i < 100; i++)); do
	sleep 1000 &
done

say "load the loader, then the patch"
run insmod "$modules/rust_livepatch.ko"
[[ -d /sys/kernel/rust_livepatch ]] || die "no /sys/kernel/rust_livepatch"
start_watching
run insmod "$modules/rust_livepatch_cmdline.ko"
settled || die "the transition does not complete"
[[ $(cat $patch/enabled) == 1 ]] || die "the patch is not enabled"

say "it now reads"
run cat /proc/cmdline
[[ $(cat /proc/cmdline) == "this has been live patched" ]] || die "not patched"

say "what sysfs showed meanwhile"
show_states
run grep -H . $patch/enabled $patch/transition $patch/progress $patch/transition_us
[[ $(cat $patch/transition) == 0 ]] || die "the transition is not complete"
[[ $(cat $patch/transition_us) -gt 0 ]] || die "the transition took no time"

say "disable the patch"
start_watching
echo "\$ echo 0 > $patch/enabled"
echo 0 >$patch/enabled || die "cannot disable"
settled || die "the transition does not complete"
run cat /proc/cmdline
[[ $(cat /proc/cmdline) == "$before" ]] || die "/proc/cmdline is not as before"

say "what sysfs showed meanwhile"
show_states

say "unload both modules"
gone rust_livepatch_cmdline || die "the patch is still in use"
run rmmod rust_livepatch_cmdline
[[ ! -e $patch ]] || die "$patch still exists"
run rmmod rust_livepatch
[[ ! -e /sys/kernel/rust_livepatch ]] || die "/sys/kernel/rust_livepatch still exists"
run cat /proc/cmdline
[[ $(cat /proc/cmdline) == "$before" ]] || die "/proc/cmdline is not as before"
! dmesg | grep -E 'WARNING:|BUG:|Oops' || die "the kernel logged a warning or an error"

echo
echo "demo: OK"
