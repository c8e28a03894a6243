#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The program rlp on a running kernel: it loads patches, waits, and takes them back.
# timeout: 400

set -e
. "$(dirname "$0")/operator.sh"

command -v rlp >/dev/null || skip "rlp is not built: make programs"
own_loader_with
rm -rf /var/lib/rlp /run/rlp
a=$(module_file rlp_patch_a) b=$(module_file rlp_patch_b)
one=--parameter=funcs=rlp_target:one_show
sleeping=--parameter=funcs=rlp_target:sleep_show
probation=/sys/module/rust_livepatch/parameters/probation
# rlp loads these; cleanup() unloads what is left of them if the test fails.
loaded+=(rlp_patch_a rlp_patch_b)
remember_state

# run STATUS ARGUMENT...: run rlp, which must end with this status. Its output is in "$out".
run() {
	local wanted=$1 status=0
	shift

	out=$(rlp "$@" 2>&1) || status=$?
	((status == wanted)) || fail "rlp $*: status $status instead of $wanted: $out"
}

# says PATTERN: a line of the output must match.
says() {
	grep -qE -- "$1" <<<"$out" || fail "no '$1' in: $out"
}

run 0 load "$one" --parameter=says=a "$a"
says '^rlp_patch_a: loaded$'
says 'in effect after [0-9]+ ms'
expect_file $TARGET/one a
run 0 status
says 'in effect since 20[0-9-]* [0-9:]* UTC'
run 0 status --nagios
says '^LIVEPATCH OK - 1 patch in effect \| in_effect=1 moving=0 probation=0$'
run 0 load "$one" "$a"
says '^rlp_patch_a: is loaded already$'
run 0 unload --dry-run rlp_patch_a
expect_file $RLP/rlp_patch_a/enabled 1
run 0 unload rlp_patch_a
says '^rlp_patch_a: unloaded$'
expect_unchanged
run 0 unload rlp_patch_a
says '^rlp_patch_a: is not loaded$'
run 1 status --nagios
pass "load and unload, twice each"

run 3 load --parameter=funcs=rlp_target:no_such_function "$a"
says "^refused: rlp_patch_a was not loaded$"
says "symbol 'no_such_function' not found in symbol table"
expect_unchanged
run 3 load "$(module_file rlp_target)"
says 'it is not a live patch'
run 0 unload rlp_target
says "^rlp_target: is not loaded$"
is_loaded rlp_target || fail "rlp has unloaded a module that is no patch"
pass "the loader's reason is shown"

fall_asleep
sleeper=$(pgrep -f "^cat $TARGET/sleep")
run 4 load --timeout 1 "$sleeping" "$a"
says '1 task is inside sleep_show\(\), which the transition changes'
says "cat \\($sleeper\\): it waits for a device or a server, and no signal wakes it"
says '^ +sleep_show\+0x'
says 'next: .*rlp reverse rlp_patch_a'
run 0 status
says 'being enabled: [0-9]+ of [0-9]+ tasks are switched'
run 1 status --nagios
run 0 status --json
says '"function": "sleep_show"'
says "\"pid\": $sleeper"
run 3 load --timeout 1 "$one" "$b"
says 'rlp_patch_a is in transition'
pass "what holds up a transition is explained"

# Another user sees what that user may see.
as_nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups rlp)
out=$("${as_nobody[@]}" status) || fail "status as nobody"
says 'only root may see what holds this up'
! out=$("${as_nobody[@]}" unload rlp_patch_a 2>&1) || fail "nobody has unloaded a patch"
says 'refused: only root may unload patches'
run 3 force rlp_patch_a
says 'rlp reverse rlp_patch_a is safe'
run 0 reverse
says '^rlp_patch_a: reversed$'
wait_gone rlp_patch_a
run 0 unload rlp_patch_a
pass "a transition is reversed"

# A load that waits in poll uses no processor, and ends when the sleeper wakes up.
rlp load --timeout 120 "$sleeping" "$a" >"$seen/waits" 2>&1 &
waiter=$!
wait_until "[[ \$(cat $RLP/rlp_patch_a/transition 2>/dev/null) == 1 ]]" || fail "no transition"
wait_until "grep -q sleep_show $seen/waits" 30 || fail "blockers are not shown: $(cat "$seen/waits")"
read -ra before <"/proc/$waiter/stat"
sleep 3
read -ra after <"/proc/$waiter/stat"
ticks=$((after[13] + after[14] - before[13] - before[14]))
((ticks <= 100)) || fail "rlp has used $ticks ticks in 3 s"
echo Y >$PARAMETERS/awake
wait $waiter || fail "rlp load: $(cat "$seen/waits")"
wait
grep -q '^rlp_patch_a: loaded$' "$seen/waits" || fail "$(cat "$seen/waits")"
run 0 unload --all
expect_unchanged
pass "it waits until the transition is complete"

fall_asleep
run 5 load --deadline 2 "$sleeping" "$a"
says 'taken back: rlp_patch_a was loaded, and its transition was reversed'
says 'not complete after 2 s, and is reversed'
! is_loaded rlp_patch_a || fail "the module is left"
wake_up
expect_unchanged
pass "a deadline"

run 0 load --probation 4 "$one" --parameter=says=a "$a"
says 'on probation: the loader takes it back in [1-4] s, unless: rlp confirm rlp_patch_a'
expect_file $probation 0
run 1 status --nagios
says 'WARNING - .*on probation'
wait_gone rlp_patch_a
run 0 status
says 'rlp_patch_a: not in effect; its module is left'
run 0 load --probation 300 "$one" --parameter=says=a "$a"
run 0 confirm
says '^rlp_patch_a: confirmed$'
run 0 status --nagios
run 5 load --probation 300 --test 'exit 7' "$one" --parameter=replace=Y --parameter=says=b "$b"
says "the test 'exit 7' has failed"
expect_file $TARGET/one a
! is_loaded rlp_patch_b || fail "the module is left"
run 0 load --test "[ \"\$(cat $TARGET/one)\" = b ]" "$one" --parameter=replace=Y --parameter=says=b "$b"
says 'confirmed'
expect_file $RLP/rlp_patch_b/confirmed 1
wait_gone rlp_patch_a
run 0 unload rlp_patch_b
run 0 unload rlp_patch_a
expect_unchanged
pass "probation, confirmed or taken back"

run 0 load "$one" --parameter=says=a "$a"
run 0 load --probation 300 "$one" --parameter=replace=Y --parameter=says=b "$b"
run 3 unload rlp_patch_a
says 'rlp_patch_b has replaced it'
run 0 unload rlp_patch_b
says 'rlp_patch_a is in effect again'
expect_file $TARGET/one a
run 0 unload rlp_patch_a
pass "a cumulative patch falls back"

# A load that was killed has left the parameter changed.
echo 77 >$probation
echo 0 >/run/rlp/probation
run 0 load "$one" "$a"
expect_file $probation 0
expect_file $RLP/rlp_patch_a/confirmed 1
run 0 unload rlp_patch_a
pass "the loader's parameter is put back"

run 0 history --json
for pattern in '"action": "load"' '"action": "reverse"' '"result": "taken back"' '"phase": "begin"' \
	'"damaged": 0'; do
	says "$pattern"
done
PATCH=rlp_patch_a EVENT=expire STATE=probation US=0 rlp event
run 0 history --last 1
says 'rlp_patch_a  loader: expire, probation'
pass "history"

cmdline=$(module_file rust_livepatch_cmdline)
loaded+=(rust_livepatch_cmdline)
run 0 check --kernel "$cmdline"
run 0 install "$cmdline"
run 2 status --nagios
says 'rust_livepatch_cmdline is installed for this kernel, and is not loaded'
run 0 boot
says '^rust_livepatch_cmdline: loaded$'
expect_file /proc/cmdline "this has been live patched"
run 0 status --nagios
run 0 boot --survived
says 'survived'
run 0 unload rust_livepatch_cmdline
says 'it is loaded again at the next boot, unless: rlp uninstall rust_livepatch_cmdline'
# An earlier boot has left the list of the patches that it was about to load, so it did not last.
# The patches in the list are not loaded again.
echo '{"boot": "another", "patches": ["rust_livepatch_cmdline"]}' >/var/lib/rlp/boot/intent
run 0 boot
says 'the last boot with it did not last'
! is_loaded rust_livepatch_cmdline || fail "a patch that was quarantined is loaded"
run 2 status --nagios
run 0 uninstall rust_livepatch_cmdline
run 1 status --nagios
expect_unchanged
pass "patches that are loaded at boot"
finish
