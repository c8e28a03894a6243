# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# For tests with the modules of rlp_patch.h and rlp_target_main.c, on top of
# lib/common.sh: load a patch, look at what it changed, and at what it left behind.

. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# shellcheck disable=SC2034 # for the tests
TARGET=/proc/rlp_target
PARAMETERS=/sys/module/rlp_target/parameters
passed=0

# Whoever sleeps in the target would keep lib/common.sh from removing it.
trap 'patches_end $?' EXIT

patches_end() {
	set +e
	[[ ! -e $PARAMETERS/awake ]] || echo Y >$PARAMETERS/awake
	(exit "$1")
	cleanup
}

pass() {
	passed=$((passed + 1))
	echo "ok $passed - $*"
}

# The last line of a test.
finish() {
	((passed)) || fail "nothing was tested"
	echo "1..$passed"
}

# expect ACTUAL EXPECTED [WHAT]
expect() {
	[[ $1 == "$2" ]] || fail "${3:+$3 }reads '$1' instead of '$2'"
}

# expect_file FILE TEXT: what it reads.
expect_file() {
	read_file "$1"
	expect "$REPLY" "$2" "$1"
}

# said PATTERN: the kernel did, since the last new_log.
expect_log() {
	log_has "$1" && return
	echo "# the kernel's log:"
	log | sed 's/^/#   /'
	fail "there is no '$1' in the log"
}

# pointer_in TEXT: what could be an address of the kernel, in either base. What "%p"
# prints is a number of 32 bits.
pointer_in() {
	grep -oiE '\bf{4}[0-9a-f]{8,}\b|\b(0x)?[0-9a-f]{16}\b|\b[0-9]{16,}\b' <<<"$1" |
		grep -vE '^(0x)?0{8}'
}

no_pointers() { # WHAT TEXT
	local found

	! found=$(pointer_in "$2") || fail "$1: an address, $found"
}

# long NUMBER: a name of so many characters.
long_name() {
	printf "%0*d" "$1" 0
}

# load_patch NAME [PARAMETER=VALUE...]: until everybody uses it.
load_patch() {
	load_module "$@"
	wait_settled "$1"
	expect_file "$RLP/$1/enabled" 1
}

# patch_off NAME: disable it, until nothing is left of it but the module.
patch_off() {
	echo 0 >"$RLP/$1/enabled"
	wait_gone "$1"
}

wait_gone() {
	wait_until "[[ ! -e $RLP/$1 ]]" 30 || {
		show_patch "$1"
		fail "$1 does not go"
	}
}

unload_patch() {
	patch_off "$1"
	unload_module "$1"
}

# there_and_gone PATCH FILE TEXT: the file reads so while the patch is loaded, and then as
# before; nothing else is left of it.
check_patch() {
	local before

	read_file "$2"
	before=$REPLY
	load_patch "$1"
	expect_file "$2" "$3"
	unload_patch "$1"
	expect_file "$2" "$before"
	expect_unchanged
	pass "$1"
}

# refuse ERRNO PATTERN MODULE [PARAMETER=VALUE...]: the module must not load, the
# kernel say why, and all be as before.
expect_refused() {
	local errno=$1 pattern=$2
	shift 2

	new_log
	expect_load_fail "$errno" "$@"
	expect_log "$pattern"
	expect_unchanged
}

# in_use MODULE: it must not be possible to remove it.
expect_in_use() {
	local output

	! output=$(rmmod "$1" 2>&1) || fail "$1 was removed"
	[[ $output =~ "in use"|"Resource temporarily unavailable" ]] ||
		fail "rmmod $1: $output"
}

# fall_asleep [PROGRAM]: hold up every transition of sleep_show(), until wake_up. $! is who does,
# with "cat" or what reads a file like it.
fall_asleep() {
	echo N >$PARAMETERS/awake
	"${1:-cat}" $TARGET/sleep >/dev/null &
	wait_until "read_file $PARAMETERS/sleepers; [[ \$REPLY == 1 ]]" || fail "nobody is asleep"
}

wake_up() {
	echo Y >$PARAMETERS/awake
	wait
}

# Everything that a patch could have changed, in "state": hooked functions, modules and
# their users, kprobes, what the functions print; and which patches there are.
# Without processes of its own: some tests ask all the time.
read_state() {
	local file lines line words

	state=

	for file in /sys/kernel/tracing/enabled_functions /proc/modules \
		/sys/kernel/debug/kprobes/list /proc/{cmdline,version} \
		$TARGET/{one,two,twin1,twin2,notrace}; do
		[[ -e $file ]] || continue
		mapfile -t lines <"$file"
		for line in "${lines[@]}"; do
			read -ra words <<<"$line"
			case $file in
			*/enabled_functions)
				[[ ${words[0]} != direct* ]] || continue
				line=${words[0]}
				;;
			*/modules) line="${words[0]} ${words[2]}" ;;
			esac
			state+="$file: $line"$'\n'
		done
	done
	words=("$RLP"/*)
	state+="$RLP: ${words[*]}"
}

# remember: what expect_unchanged compares with.
remember_state() {
	read_state
	remembered=$state
}

# The loader puts the last things away in the background.
expect_unchanged() {
	wait_until 'read_state; [[ $state == "$remembered" ]]' 10 && return
	diff <(echo "$remembered") <(echo "$state") | sed 's/^/# /'
	fail "something was changed, see above: < before, > after"
}

# Nobody watches the scheduler any more. $PARAMETERS/sched_switch_users at the
# start of the test is what to compare with.
expect_probes() {
	wait_until "read_file $PARAMETERS/sched_switch_users; [[ \$REPLY == $1 ]]" 10 ||
		fail "$(cat $PARAMETERS/sched_switch_users) probes on sched_switch instead of $1"
}
