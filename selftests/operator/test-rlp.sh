#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The program rlp on a running kernel: it loads patches, waits, and takes them back.
# timeout: 500
# guest: built

set -e
. "$(dirname "$0")/operator.sh"

command -v rlp >/dev/null || skip "rlp is not built: make programs"
start_with probation=0
rm -rf /var/lib/rlp /run/rlp
[[ -s /etc/machine-id ]] || echo 00112233445566778899aabbccddeeff >/etc/machine-id
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

# json STATUS ARGUMENT...: run rlp with --json. scripts/checks/rlp-json checks what this prints.
json() {
	run "$@" --json
	echo "rlp-json: $(tr -d '\n' <<<"$out")"
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
json 0 load "$one" "$a"
json 0 status
json 0 info rlp_patch_a
json 6 info CVE-2026-0001
json 0 doctor
json 0 unload --dry-run rlp_patch_a
says '"dry_run": true'
expect_file $RLP/rlp_patch_a/enabled 1
json 0 load --dry-run "$b"
! is_loaded rlp_patch_b || fail "a dry run has loaded a module"
run 0 unload rlp_patch_a
says '^rlp_patch_a: unloaded$'
expect_unchanged
run 0 unload rlp_patch_a
says '^rlp_patch_a: is not loaded$'
run 1 status --nagios
json 2 load --bogus
json 2 --update
run 3 status --nagios --bogus
says '^LIVEPATCH UNKNOWN - '
pass "load and unload, twice each"

run 3 load --parameter=funcs=rlp_target:no_such_function "$a"
says "^refused: rlp_patch_a was not loaded$"
says "symbol 'no_such_function' not found in symbol table"
says '^    the kernel or the module has no such function'
says 'next: get the patch that was built for this kernel'
run 0 status
says "^\\[[0-9.]*\\] symbol 'no_such_function' not found in symbol table"
run 0 doctor
says "note   the loader has logged: .* symbol 'no_such_function' not found"
expect_unchanged
json 3 load --parameter=funcs=rlp_target:no_such_function "$a"
says "\"why\": .*symbol 'no_such_function' not found in symbol table"
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
json 0 status
says '"function": "sleep_show"'
says "\"pid\": $sleeper"
run 3 load --timeout 1 "$one" "$b"
says 'rlp_patch_a is in transition'
pass "what holds up a transition is explained"

# To a user who is not root, rlp shows only what that user may read.
as_nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups rlp)
out=$("${as_nobody[@]}" status) || fail "status as nobody"
says 'only root may see what holds this up'
out=$("${as_nobody[@]}" info rlp_patch_a) || fail "info as nobody"
says 'being enabled'
for arguments in "load $a" "unload rlp_patch_a" confirm reverse "force rlp_patch_a --yes-i-know" \
	"install $a" "uninstall rlp_patch_a"; do
	status=0
	# shellcheck disable=SC2086 # a list
	out=$("${as_nobody[@]}" $arguments 2>&1) || status=$?
	((status == 3)) || fail "$arguments as nobody: status $status: $out"
	says 'refused: only root may '
	says 'next: run this command again with sudo'
done
expect_file $RLP/rlp_patch_a/transition 1
json 3 force rlp_patch_a
run 3 force rlp_patch_a
says 'rlp reverse rlp_patch_a is safe'
json 0 force --dry-run rlp_patch_a
json 0 reverse --dry-run
json 0 reverse
wait_gone rlp_patch_a
json 0 unload rlp_patch_a
run 4 load --timeout 1 "$sleeping" "$a"
run 0 reverse
says '^rlp_patch_a: reversed$'
wait_gone rlp_patch_a
run 0 unload rlp_patch_a
pass "a transition is reversed"

# A load waits in poll, so it uses little processor time. It ends when the sleeper wakes up.
rlp load --timeout 120 "$sleeping" "$a" >"$seen/waits" 2>&1 &
waiter=$!
wait_until "[[ \$(cat $RLP/rlp_patch_a/transition 2>/dev/null) == 1 ]]" || fail "no transition"
wait_until "grep -q sleep_show $seen/waits" 30 ||
	fail "blockers are not shown: $(cat "$seen/waits")"
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

# waits ARGUMENT...: start "rlp load", whose transition must wait for the sleeper.
waits() {
	rlp load --timeout 300 "$@" "$sleeping" "$a" >"$seen/waits" 2>&1 &
	waiter=$!
	wait_until "[[ \$(cat $RLP/rlp_patch_a/transition 2>/dev/null) == 1 ]]" ||
		fail "no transition"
}

# ends STATUS PATTERN: the program that waits must end with this status, and say this.
ends() {
	local status=0

	wait "$waiter" || status=$?
	out=$(<"$seen/waits")
	((status == $1)) || fail "status $status instead of $1: $out"
	says "$2"
}

fall_asleep
waits --confirm
kill -TERM "$waiter"
ends 4 'not complete: rlp_patch_a: load was interrupted, and the transition continues'
expect_file $RLP/rlp_patch_a/enabled 1
json 0 history --last 1
says '"result": "not complete"'
run 0 reverse
wait_gone rlp_patch_a
pass "a load that is interrupted says what continues"

waits
echo 0 >$RLP/rlp_patch_a/enabled
ends 5 'taken back: rlp_patch_a was loaded, and its transition was reversed'
! is_loaded rlp_patch_a || fail "the module is left"
waits
echo 0 >$RLP/rlp_patch_a/enabled
rlp load --timeout 300 "$one" "$b" >"$seen/second" 2>&1 || fail "$(cat "$seen/second")"
ends 5 'its transition was reversed'
run 0 unload rlp_patch_b
wake_up
expect_unchanged
pass "a transition that is reversed while load waits"

# Both programs find no patch, and then wait for the lock that this shell holds.
mkdir -p /run/rlp
exec {lock}>/run/rlp/lock
flock "$lock"
run 3 load --timeout 1 "$one" "$a"
says 'refused: rlp_patch_a must wait: another rlp is loading a patch'
loads=()
for number in 1 2; do
	rlp load "$one" "$a" >"$seen/load-$number" 2>&1 {lock}>&- &
	loads+=($!)
done
wait_until '(($(grep -c "\"phase\":\"begin\",\"action\":\"load\"" /var/lib/rlp/history.jsonl) -
	$(grep -c "\"phase\":\"end\",\"action\":\"load\"" /var/lib/rlp/history.jsonl) == 2))' 60 ||
	fail "the two do not wait: $(cat /var/lib/rlp/history.jsonl)"
exec {lock}>&-
for number in 1 2; do
	wait "${loads[number - 1]}" || fail "load $number: $(cat "$seen/load-$number")"
done
out=$(cat "$seen"/load-*)
says '^rlp_patch_a: loaded$'
says '^rlp_patch_a: is loaded already$'
run 0 unload rlp_patch_a
expect_unchanged
pass "two loads at once"

fall_asleep
run 5 load --deadline 2 "$sleeping" "$a"
says 'taken back: rlp_patch_a was loaded, and its transition was reversed'
says 'not complete after 2 s, and is reversed'
! is_loaded rlp_patch_a || fail "the module is left"
# A transition that runs already gets a deadline, which counts from its start.
run 4 load --timeout 1 "$sleeping" "$a"
run 5 load --deadline 2 "$sleeping" "$a"
says 'not complete after 2 s, and is reversed'
! is_loaded rlp_patch_a || fail "the module is left"
run 0 load "$one" "$a"
run 0 load --deadline 2 --probation 9 "$one" "$a"
says '--probation has no effect: the patch is loaded already'
says '--deadline has no effect: the transition is complete'
run 0 unload rlp_patch_a
wake_up
expect_unchanged
pass "a deadline"

run 0 load --probation 8 "$one" --parameter=says=a "$a"
says 'on probation: the loader takes it back in [1-8] s, unless: rlp confirm rlp_patch_a'
expect_file $probation 0
run 1 status --nagios
says 'WARNING - .*on probation'
wait_gone rlp_patch_a
run 0 status
says 'rlp_patch_a: not in effect; its module is still loaded'
run 0 load --probation 300 "$one" --parameter=says=a "$a"
json 0 confirm --dry-run
run 0 confirm
says '^rlp_patch_a: confirmed$'
json 0 confirm rlp_patch_a
run 0 status --nagios
run 5 load --probation 300 --test 'exit 7' "$one" --parameter=replace=Y --parameter=says=b "$b"
says "the test 'exit 7' has failed"
expect_file $TARGET/one a
! is_loaded rlp_patch_b || fail "the module is left"
run 0 load --test "[ \"\$(cat $TARGET/one)\" = b ]" "$one" \
	--parameter=replace=Y --parameter=says=b "$b"
says 'confirmed'
expect_file $RLP/rlp_patch_b/confirmed 1
wait_gone rlp_patch_a
run 0 unload rlp_patch_b
run 0 unload rlp_patch_a
expect_unchanged
pass "probation, confirmed or taken back"

# The signal also ends the test of "rlp load --test", with all of its processes. The patch is not
# confirmed.
rlp load --probation 300 --test "touch $seen/runs; sleep 1000; true" \
	"$one" --parameter=says=a "$a" >"$seen/waits" 2>&1 &
waiter=$!
wait_until "[[ -e $seen/runs ]]" || fail "the test does not run"
kill -TERM "$waiter"
ends 4 'rlp_patch_a is in effect, and its test was interrupted'
expect_file $RLP/rlp_patch_a/confirmed 0
wait_until "! pgrep -f 'sleep 1000'" || fail "the test still runs"
run 0 unload rlp_patch_a
expect_unchanged
pass "a test that is interrupted"

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

json 0 history
says "symbol 'no_such_function' not found in symbol table"
for pattern in '"action": "load"' '"action": "reverse"' '"result": "taken back"' \
	'"phase": "begin"' \
	'"damaged": 0'; do
	says "$pattern"
done
PATCH=rlp_patch_a EVENT=expire STATE=probation US=0 rlp event
run 0 history --last 1
says 'rlp_patch_a  loader: nobody has confirmed it in time, and it is taken back'
pass "history"

json 0 heartbeat
says '"loader_loaded": true'
json 0 verify
says '"whole": true'
head=$(sed -n 's/^.*"sha256": "\(.*\)".*$/\1/p' <<<"$out")
[[ $head == "$(tail -n 1 /var/lib/rlp/history.jsonl | sha256sum | cut -d ' ' -f 1)" ]] ||
	fail "the head is not the last line's hash: $out"
json 0 evidence export --unsigned "$seen/evidence"
json 0 report --from 1970-01-01 --to 2999-12-31 "$seen/evidence"
says '"evidence": "whole"'
sed -i 3d "$seen"/evidence/*.jsonl
json 6 report --from 1970-01-01 --to 2999-12-31 "$seen/evidence"
says '"evidence": "not-verified"'
json 6 verify --head "$head" "$seen"/evidence/*.jsonl
says '"kind": "left-out"'
json 1 evidence export "$seen/signed"
says '"what": "ssh-keygen cannot be run"'
pass "the history is a chain"

cmdline=$(module_file rust_livepatch_cmdline)
loaded+=(rust_livepatch_cmdline)
run 0 check --kernel "$cmdline"
json 0 check --kernel "$cmdline"
json 0 install --dry-run "$cmdline"
run 0 install "$cmdline"
json 0 uninstall --dry-run rust_livepatch_cmdline
run 2 status --nagios
says 'rust_livepatch_cmdline is installed for this kernel, and is not loaded'
run 0 boot
says '^rust_livepatch_cmdline: loaded$'
expect_file /proc/cmdline "this has been live patched"
run 0 status --nagios
json 0 boot
run 0 boot --survived
says 'survived'
run 0 unload rust_livepatch_cmdline
says 'it is loaded again at the next boot, unless: rlp uninstall rust_livepatch_cmdline'
# The file "intent" lists the patches that a boot was about to load. A boot that has survived for a
# while removes it. Here the file of an earlier boot is left, so the machine failed after that boot:
# the patches in the list are not loaded again.
echo '{"boot": "another", "patches": ["rust_livepatch_cmdline"]}' >/var/lib/rlp/boot/intent
run 0 boot
says 'the machine failed after the last boot with it'
! is_loaded rust_livepatch_cmdline || fail "a patch that was quarantined is loaded"
run 2 status --nagios
run 0 uninstall rust_livepatch_cmdline
run 1 status --nagios
expect_unchanged
pass "patches that are loaded at boot"

# A guest has no folder of modules that modprobe could search. A machine with such a folder is not
# tested here: modprobe might find a loader.
if loader_is_built_in; then
	untested "a loader that is not loaded: it is built in"
elif [[ ! -e /lib/modules/$(uname -r) ]]; then
	unload_module rust_livepatch
	run 1 status --nagios
	says 'the loader is not loaded, so nothing is patched'
	json 1 load "$one" "$a"
	says '"what": "the loader cannot be loaded"'
	says '"why": ".*modprobe'
	json 0 unload rlp_patch_a
	says '"result": "not-loaded"'
	pass "a loader that is not loaded"
else
	untested "a loader that cannot be loaded"
fi
finish
