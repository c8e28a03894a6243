# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Functions for tests with the modules of rlp_patch.h and rlp_target_main.c, on top of
# common.sh: load a patch, check what it changed, and check that nothing is left afterwards.

. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# shellcheck disable=SC2034 # used by the tests
TARGET=/proc/rlp_target
PARAMETERS=/sys/module/rlp_target/parameters
passed=0

# Wake the tasks that sleep in the target: cleanup() could not unload it otherwise.
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

# The last command of a test.
finish() {
	((passed)) || fail "nothing was tested"
	echo "1..$passed"
}

# expect ACTUAL EXPECTED [WHAT]
expect() {
	[[ $1 == "$2" ]] || fail "${3:+$3 }reads '$1' instead of '$2'"
}

# expect_file FILE TEXT: the content of the file must be this text.
expect_file() {
	read_file "$1"
	expect "$REPLY" "$2" "$1"
}

# expect_log PATTERN: a line that was logged since the last new_log must match.
expect_log() {
	log_has "$1" && return
	echo "# the kernel's log:"
	log | sed 's/^/#   /'
	fail "there is no '$1' in the log"
}

# pointer_in TEXT: print each number in TEXT that could be an address of the kernel, hexadecimal
# or decimal. "%p" prints a hash of 32 bits, which is not an address.
pointer_in() {
	grep -oiE '\bf{4}[0-9a-f]{8,}\b|\b(0x)?[0-9a-f]{16}\b|\b[0-9]{16,}\b' <<<"$1" |
		grep -vE '^(0x)?0{8}'
}

no_pointers() { # WHAT TEXT
	local found

	! found=$(pointer_in "$2") || fail "$1 shows an address: $found"
}

# long_name NUMBER: print a name of that many characters.
long_name() {
	printf "%0*d" "$1" 0
}

# load_patch NAME [PARAMETER=VALUE...]: load the patch and wait until all tasks are switched.
load_patch() {
	load_module "$@"
	wait_settled "$1"
	expect_file "$RLP/$1/enabled" 1
}

# patch_off NAME: disable the patch and wait until the loader has removed it.
patch_off() {
	echo 0 >"$RLP/$1/enabled"
	wait_gone "$1"
}

wait_gone() {
	wait_until "[[ ! -e $RLP/$1 ]]" 30 || {
		show_patch "$1"
		fail "$1 keeps its directory"
	}
}

unload_patch() {
	patch_off "$1"
	unload_module "$1"
}

# check_patch PATCH FILE TEXT: the file must contain this text while the patch is loaded, and
# its old content afterwards. Nothing of the patch may be left.
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

# expect_refused ERRNO PATTERN MODULE [PARAMETER=VALUE...]: the module must not load, the
# reason must be logged, and nothing may have changed.
expect_refused() {
	local errno=$1 pattern=$2
	shift 2

	new_log
	expect_load_fail "$errno" "$@"
	expect_log "$pattern"
	expect_unchanged
}

# expect_in_use MODULE: it must not be possible to unload the module.
expect_in_use() {
	local output

	! output=$(rmmod "$1" 2>&1) || fail "$1 was unloaded"
	[[ $output =~ "in use"|"Resource temporarily unavailable" ]] ||
		fail "rmmod $1: $output"
}

# fall_asleep [PROGRAM [FILE]]: run PROGRAM (default: cat), which reads $TARGET/FILE (default:
# sleep) and sleeps in the function that shows this file. Until wake_up, this process blocks each
# transition that patches the function. $! is its PID.
fall_asleep() {
	echo N >$PARAMETERS/awake
	"${1:-cat}" "$TARGET/${2:-sleep}" >/dev/null &
	wait_until "read_file $PARAMETERS/sleepers; [[ \$REPLY == 1 ]]" || fail "no process sleeps"
}

wake_up() {
	echo Y >$PARAMETERS/awake
	wait
}

# Set "state" to everything that a patch could have changed: hooked functions, modules and
# their reference counts, kprobes, the output of the functions, and the list of patches.
# This starts no process, since some tests call it all the time.
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
				# The loader hooks these two functions from its first promotion
				# until it is unloaded.
				[[ ${words[0]} != bpf_trampoline_@(link_prog|multi_attach) ||
					! -d $RLP ]] || continue
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

# remember_state: record the state that expect_unchanged compares with.
remember_state() {
	read_state
	remembered=$state
}

# The loader frees its last resources in the background, hence the wait.
expect_unchanged() {
	wait_until 'read_state; [[ $state == "$remembered" ]]' 10 && return
	diff <(echo "$remembered") <(echo "$state") | sed 's/^/# /'
	fail "the state differs, see above: < before, > after"
}

# expect_probes NUMBER: there must be this number of probes on sched_switch. A test passes the
# number that $PARAMETERS/sched_switch_users had at its start.
expect_probes() {
	wait_until "read_file $PARAMETERS/sched_switch_users; [[ \$REPLY == $1 ]]" 10 ||
		fail "$(cat $PARAMETERS/sched_switch_users) probes on sched_switch instead of $1"
}
