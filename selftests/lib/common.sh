# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Functions for all tests, on top of the kernel's ktap_helpers.sh. A test begins with
#
#	. "$(dirname "$0")/../lib/common.sh"
#
# When the test exits, for whatever reason, its changes are undone: patches are disabled, and
# the modules that it loaded are unloaded. The exit status is that of all kselftests: 0 pass,
# 4 skip, anything else fail. A test in which each command must succeed needs only "set -e".

# shellcheck disable=SC2034 # used by the tests
RLP=/sys/kernel/rust_livepatch
RLP_MODULES=${RLP_MODULES:-$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")/modules}
test_name=$(basename "${0#*test-}" .sh)
log_mark="rust_livepatch selftest: log of $test_name $$"
loaded=()
parameters_before=() # NAME=VALUE, of a loader that is built in

for dir in "${RLP_KSELFTEST:-}" "$(dirname "${BASH_SOURCE[0]}")/../../kselftest" \
	"/lib/modules/$(uname -r)/source/tools/testing/selftests/kselftest"; do
	if [[ -e $dir/ktap_helpers.sh ]]; then
		# shellcheck disable=SC1091
		. "$dir/ktap_helpers.sh"
		break
	fi
done
if [[ ! -v KSFT_SKIP ]]; then
	echo "1..0 # SKIP set RLP_KSELFTEST= to linux/tools/testing/selftests/kselftest"
	exit 4
fi

# fail REASON...: print the reason and end the test.
reason=
fail() {
	reason=$*
	echo "# FAIL: $reason"
	exit "$KSFT_FAIL"
}

# End the test if a command does not exist. Otherwise a condition with a misspelt command would be
# false for ever, and the check that depends on it would silently be left out. Bash calls this
# function in a subshell.
command_not_found_handle() {
	echo "# FAIL: there is no command '$1'" >&2
	kill -TERM $$
	return 127
}

# say_replay ARGUMENTS: print the arguments of make that repeat the same random choices. The
# kernel's log gets the line too: if the machine crashes, the output of the test is lost, and
# scripts/guest/run-tests reads the log.
say_replay() {
	local line="replay: make $*${RLP_DEBUG:+ DEBUG=$RLP_DEBUG}"

	echo "# $line"
	echo "rust_livepatch selftest: $line" >/dev/kmsg
}

skip() {
	ktap_skip_all "$@"
	exit "$KSFT_SKIP"
}

# site FUNCTION: print its line in enabled_functions and the line below, in one line.
site() {
	grep -A1 "^$1 " /sys/kernel/tracing/enabled_functions | tr '\n' ' '
}

# syscall_function NAME: print the name of the function that this system call enters.
syscall_function() {
	case $(uname -m) in
	aarch64) echo "__arm64_sys_$1" ;;
	*) echo "__x64_sys_$1" ;;
	esac
}

# long: whether the tests run in full. Otherwise a test that takes long takes a sample of its cases.
long() {
	[[ ${RLP_LONG:-} ]]
}

# untested WHAT: this part of the test needs something that the machine does not have. run.sh
# prints WHAT with the result.
untested() {
	echo "# not tested: $*"
}

# Print the kernel's log since the test began, or since the last new_log.
log() {
	dmesg | sed "1,/$log_mark/d"
}

# From now on, log() prints only what is logged after this call.
new_log() {
	log_mark="rust_livepatch selftest: log of $test_name $$.$RANDOM"
	echo "$log_mark" >/dev/kmsg
}

# log_has PATTERN: whether a line that log() prints matches.
log_has() {
	log | grep -qE -- "$1"
}

module_file() {
	echo "$RLP_MODULES/${1%.ko}.ko"
}

is_loaded() {
	[[ -d /sys/module/${1//-/_} ]]
}

# load_module NAME [PARAMETER=VALUE...]
load_module() {
	local name=$1
	shift

	[[ -e $(module_file "$name") ]] || fail "there is no $(module_file "$name")"
	insmod "$(module_file "$name")" "$@" || return
	loaded+=("$name")
}

# load_takeover FILE: load takeover_patch from this file. The module was built for in-tree
# livepatch, and klp-takeover converted it.
load_takeover() {
	insmod "$(module_file "$1")"
	loaded+=(takeover_patch)
	wait_settled takeover_patch
}

# Load the loader itself, unless it is loaded already.
load_loader() {
	is_loaded rust_livepatch || load_module rust_livepatch
}

# For a test that unloads the loader, or loads it with parameters.
own_loader() {
	! loader_is_built_in || skip "the loader is built into this kernel"
	! is_loaded rust_livepatch || skip "the loader is in use on this machine"
}

# start_loader [PARAMETER=VALUE...]: load the loader with these parameters. A loader that is built
# in runs already, so the parameters are written: it must be possible to write them.
start_loader() {
	local parameter file

	if ! loader_is_built_in; then
		! is_loaded rust_livepatch || skip "the loader is in use on this machine"
		load_module rust_livepatch "$@"
		return
	fi
	for parameter; do
		file=/sys/module/rust_livepatch/parameters/${parameter%%=*}
		parameters_before+=("${parameter%%=*}=$(<"$file")")
		echo "${parameter#*=}" >"$file"
	done
}

# stop_loader: unload the loader. A loader that is built in gets its parameters back.
stop_loader() {
	if loader_is_built_in; then
		parameters_back
	else
		unload_module rust_livepatch
	fi
}

# The first value that was recorded is the oldest one.
parameters_back() {
	local i

	for ((i = ${#parameters_before[@]} - 1; i >= 0; i--)); do
		echo "${parameters_before[i]#*=}" \
			>"/sys/module/rust_livepatch/parameters/${parameters_before[i]%%=*}"
	done
	parameters_before=()
}

# A module has a file with its number of references.
loader_is_built_in() {
	is_loaded rust_livepatch && [[ ! -e /sys/module/rust_livepatch/refcnt ]]
}

# loader_mark: print the pattern of the text with which the kernel marks the loader's functions. The
# functions of a built-in loader have no mark.
loader_mark() {
	loader_is_built_in || echo '\[rust_livepatch\]'
}

# loader_symbol FUNCTION: print the name of this function of the loader for kallsyms.
loader_symbol() {
	loader_is_built_in && echo "$1" || echo "rust_livepatch:$1"
}

# hooks_left PATTERN: print the lines of enabled_functions that match. A loader that is built in
# keeps those of its anchors, and those on two functions of bpf.
hooks_left() {
	awk -v pattern="$1" -v kept="$(loader_is_built_in &&
		echo '^(rlp_anchor_(handler|jump)|bpf_trampoline_(link_prog|multi_attach)) ')" '
		/^[^ \t]/ { skipped = kept && $0 ~ kept }
		!skipped && $0 ~ pattern' /sys/kernel/tracing/enabled_functions
}

# Whether the loader looks up symbols, and can be told not to use some of them. A loader that is
# part of the kernel uses exports.
has_gate() {
	! loader_is_built_in &&
		tr '\0' '\n' <"$(module_file rust_livepatch)" | grep -a '^parm=without:' >/dev/null
}

needs_gate() {
	has_gate || skip "the loader of this kernel looks up no symbols"
}

# unload_module NAME: retry for a while, since the last user of the module may still hold it.
unload_module() {
	local name=$1 kept=() module

	wait_until "rmmod ${name//-/_} 2>/dev/null || ! is_loaded $name" 10 || {
		rmmod "${name//-/_}"
		fail "module $name cannot be unloaded"
	}
	for module in "${loaded[@]}"; do
		[[ $module == "$name" ]] || kept+=("$module")
	done
	loaded=("${kept[@]}")
}

# An emulated machine is slow at starting a process; the next two functions do not need one.

# nap SECONDS: sleep. The line that makes the pipe changes $!, and a test may need $! after a sleep.
# So the pipe is made here, before the test begins, and not by the first nap().
exec {nap_fd}<> <(:)
nap() {
	read -rt "$1" -u "$nap_fd" || true
}

# read_file FILE: set REPLY to the content of the file without the newlines at its end, or to
# nothing if the file cannot be read.
read_file() {
	REPLY=
	{ IFS= read -rd '' REPLY <"$1"; } 2>/dev/null || true
	while [[ $REPLY == *$'\n' ]]; do
		REPLY=${REPLY%$'\n'}
	done
}

# probe_inside EVENT FUNCTION: set a kprobe behind the fentry site, at the first instruction
# where a kprobe is possible. Set REPLY to the offset of this instruction.
probe_inside() {
	for REPLY in 9 10 11 12 13 14 15 16; do
		! echo "p:$1 $2+$REPLY" >/sys/kernel/tracing/kprobe_events || return 0
	done 2>/dev/null
	fail "no instruction of $2 takes a kprobe"
}

# wait_until CONDITION [SECONDS]: evaluate a shell expression until it is true, for 10 s by
# default, times RLP_SLOW. Fail if it is still false then.
wait_until() {
	local condition=$1 deadline=$((SECONDS + ${2:-10} * ${RLP_SLOW:-1}))

	until eval "$condition"; do
		((SECONDS < deadline)) || return 1
		nap 0.05
	done
}

# errno_text ERRNO: print a pattern for the message that commands print for this error. insmod
# prints other messages for some errors.
errno_text() {
	case $1 in
	EPERM) echo 'Operation not permitted' ;;
	ENOENT) echo 'No such file or directory|Unknown symbol in module' ;;
	ESRCH) echo 'No such process|wrong symbol version' ;;
	EINTR) echo 'Interrupted system call' ;;
	E2BIG) echo 'Argument list too long' ;;
	ENOEXEC) echo 'Exec format error|Invalid module format' ;;
	EAGAIN) echo 'Resource temporarily unavailable' ;;
	ENOMEM) echo 'Cannot allocate memory' ;;
	EFAULT) echo 'Bad address' ;;
	EACCES) echo 'Permission denied' ;;
	EBUSY) echo 'Device or resource busy' ;;
	EEXIST) echo 'File exists' ;;
	ENODEV) echo 'No such device' ;;
	EINVAL) echo 'Invalid argument|Invalid parameters' ;;
	ERANGE) echo 'Numerical result out of range' ;;
	ENAMETOOLONG) echo 'File name too long' ;;
	ENOSYS) echo 'Function not implemented' ;;
	EOPNOTSUPP) echo 'Operation not supported' ;;
	ENOTUNIQ) echo 'Name not unique on network' ;;
	EKEYREJECTED) echo 'Key was rejected by service' ;;
	*) echo "no text for $1 in lib/common.sh" ;;
	esac
}

# expect_fail ERRNO COMMAND...: the command must fail with this error.
expect_fail() {
	local errno=$1 output
	shift

	if output=$("$@" 2>&1); then
		fail "'$*' succeeded instead of failing with $errno"
	fi
	grep -qE "$(errno_text "$errno")" <<<"$output" ||
		fail "'$*' failed with '$output', not with $errno"
}

# write VALUE FILE: a write as a command, for expect_fail.
write() {
	echo "$1" >"$2"
}

# expect_load_fail ERRNO MODULE [PARAMETER=VALUE...]
expect_load_fail() {
	local errno=$1 name=$2
	shift 2

	expect_fail "$errno" insmod "$(module_file "$name")" "$@"
	! is_loaded "$name" || fail "$name is loaded although insmod failed"
}

# patch_settled PATCH: whether the patch is registered and not in transition.
patch_settled() {
	local moving=

	{ read -r moving <"$RLP/$1/transition"; } 2>/dev/null
	[[ $moving == 0 ]]
}

# patch_gone PATCH: whether the patch has left the registry and its directory is removed.
patch_gone() {
	[[ ! -e $RLP/$1 ]]
}

# wait_settled PATCH [SECONDS]: wait until its transition is complete. Fail also if there is
# no such patch. To wait for a patch that is being disabled, use patch_gone instead.
wait_settled() {
	wait_until "patch_settled $1" "${2:-30}" || {
		show_patch "$1"
		fail "the transition of $1 does not complete"
	}
}

show_patch() {
	grep -H . "$RLP/$1"/{enabled,transition,progress,blockers} 2>/dev/null | sed 's/^/# /'
}

# disable_patch NAME: disable the patch, which must be enabled, and wait until it is gone.
disable_patch() {
	! patch_gone "$1" || fail "there is no patch $1"
	wait_settled "$1"
	echo 0 >"$RLP/$1/enabled" || return
	wait_until "patch_gone $1" 30 || {
		show_patch "$1"
		fail "$1 is not disabled"
	}
}

cleanup() {
	local status=$? command=$BASH_COMMAND patch name i pass

	trap - EXIT
	# "set -e" ends a test without a word.
	[[ $status == [04] || $reason ]] || echo "# FAIL: status $status of: $command"
	# A patch may keep another one from being disabled, so try more than once.
	for pass in 1 2 3; do
		for patch in "$RLP"/*/; do
			[[ -d $patch ]] || continue
			[[ $(cat "$patch/enabled" 2>/dev/null) != 1 ]] ||
				echo 0 >"$patch/enabled" 2>/dev/null || true
			name=$(basename "$patch")
			wait_until "patch_gone $name || patch_settled $name" 10 || true
		done
		for ((i = ${#loaded[@]} - 1; i >= 0; i--)); do
			rmmod "${loaded[i]//-/_}" 2>/dev/null || true
		done
		wait_until loaded_gone 1 && break
	done
	parameters_back
	if ! loaded_gone; then
		echo "# left behind: $(lsmod | tail -n +2 | cut -d' ' -f1 | xargs)"
		((status)) || status=$KSFT_FAIL
	fi
	exit "$status"
}

loaded_gone() {
	local module

	for module in "${loaded[@]}"; do
		! is_loaded "$module" || return 1
	done
}

[[ $(id -u) == 0 ]] || skip "needs root"
echo "$log_mark" >/dev/kmsg
trap cleanup EXIT
trap 'exit 1' INT TERM
