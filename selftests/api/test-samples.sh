#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Each patch in samples/ does what its first comment says, and undoes it when it is disabled.
# timeout: 300

set -e
. "$(dirname "$0")/../lib/patches.sh"
load_loader
sample=/proc/livepatch_sample
remember_state

for patch in rust_livepatch_cmdline livepatch_cmdline_c; do
	check_patch $patch /proc/cmdline "this has been live patched"
done

for patch in rust_livepatch_late livepatch_late_c; do
	case $patch in rust_*) language=Rust ;; *) language=C ;; esac
	load_patch $patch
	expect_file $RLP/$patch/livepatch_sample_target/patched 0
	load_module livepatch_sample_target
	expect_file $sample/greeting "greetings from $language"
	unload_patch $patch
	expect_file $sample/greeting "greetings from the target"

	load_patch $patch
	expect_file $sample/greeting "greetings from $language"
	unload_module livepatch_sample_target
	unload_patch $patch
	expect_unchanged
	pass "$patch is loaded before and after its target"
done

# While a process reads all the time, the new caller never calls the old callee.
load_module livepatch_sample_target
old="livepatch_sample_target, length 23"
new="livepatch_sample_target, 8 bytes left"
expect_file $sample/name "$old"
readings=$(mktemp)
while :; do read -r line <$sample/name && echo "$line"; done >"$readings" &
reader=$!
for i in 1 2 3; do
	load_patch rust_livepatch_pair
	expect_file $sample/name "$new"
	unload_patch rust_livepatch_pair
	expect_file $sample/name "$old"
done
kill $reader
wait $reader 2>/dev/null || true
expect "$(sort -u "$readings")" "$(printf '%s\n%s' "$new" "$old" | sort)" "name"
pass "rust_livepatch_pair, $(wc -l <"$readings") readings"
rm "$readings"

new_log
load_patch rust_livepatch_callbacks
expect_log "pre_patch: vmlinux"
expect_log "post_patch: vmlinux"
expect_log "pre_patch: livepatch_sample_target"
expect_log "post_patch: livepatch_sample_target"
new_log
unload_module livepatch_sample_target
expect_log "pre_unpatch: livepatch_sample_target"
expect_log "post_unpatch: livepatch_sample_target"
new_log
load_module livepatch_sample_target
expect_log "pre_patch: livepatch_sample_target"
expect_log "post_patch: livepatch_sample_target"
new_log
unload_patch rust_livepatch_callbacks
expect_log "pre_unpatch: vmlinux"
expect_log "post_unpatch: vmlinux"
expect_log "pre_unpatch: livepatch_sample_target"
expect_log "post_unpatch: livepatch_sample_target"
pass "rust_livepatch_callbacks"

remember_state
expect_refused ENODEV "pre-patch callback failed for object 'vmlinux'" \
	rust_livepatch_callbacks pre_patch_ret=-19
! log_has "post_(un)?patch:" || fail "a post-patch or post-unpatch callback was called"
pass "rust_livepatch_callbacks, whose pre-patch callback fails"

# A session that was opened before the patch was loaded is read several times.
coproc session { exec reread $sample/session; }
reader=$!
reread() {
	echo >&"${session[1]}"
	read -r -u "${session[0]}" text
}
reread
[[ $text =~ ^session\ [0-9]+$ ]] || fail "a session reads '$text'"
load_patch rust_livepatch_shadow
expect "$(sed -E 's/[0-9]+/N/g' $sample/session)" "session N, read N times, first by pid N" \
	"a new session"
for i in 1 2 3; do
	reread
	[[ $text =~ ^session\ [0-9]+,\ read\ $i\ times,\ first\ by\ pid\ $reader$ ]] ||
		fail "reading $i of the session is '$text'"
done
unload_patch rust_livepatch_shadow
reread
[[ $text =~ ^session\ [0-9]+$ ]] || fail "without the patch the session reads '$text'"
kill "$reader"
pass "rust_livepatch_shadow"
unload_module livepatch_sample_target

read -r level rest </proc/sys/kernel/printk
load_patch rust_livepatch_state1
expect "$(cut -f1 /proc/sys/kernel/printk)" 15 "log level"
new_log
load_patch rust_livepatch_state2
expect "$(cut -f1 /proc/sys/kernel/printk)" 14 "log level"
expect_log "version before: Some\(1\)"
expect_log "found $level, inherited: true"
wait_gone rust_livepatch_state1
unload_module rust_livepatch_state1
# A version that is older than the one in use is refused.
remember_state
expect_refused EINVAL "not compatible" rust_livepatch_state1
unload_patch rust_livepatch_state2
expect "$(cut -f1 /proc/sys/kernel/printk)" "$level" "log level"
new_log
load_patch rust_livepatch_state2
expect_log "version before: None"
expect_log "found $level, inherited: false"
unload_patch rust_livepatch_state2
expect "$(cut -f1 /proc/sys/kernel/printk)" "$level" "log level"
pass "rust_livepatch_state1 and rust_livepatch_state2"
finish
