# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034 # variables are used by the scripts that source this
#
# A guest with a whole Debian, for the tests of "make check-system". Sourced by the tests, which run
# on the host. A test has a disk of its own, on which everything stays from one boot to the next.
# The guest runs the commands that guest() sends to a shell of root on its second serial port.
#
# A test prints a TAP line for each of its steps. The first step that fails ends the test.

. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/env.sh"

test_name=$(basename "$0" .sh)
release=$(kernel_release)
release_pattern=$(sed 's/[.+]/[&]/g' <<<"$release") # for says()
work=$(out_dir)/system/$test_name
disk=$work/disk.qcow2
accel=$("$scripts/guest/accel")
slow=${SLOW:-1}

boots=0      # the number of starts of QEMU
console=''   # the first serial port of the current start
machine=''   # the process of QEMU
sent=0       # the number of the last command
reply=''     # the output of the last command
boot_id=''   # the number of the current boot
partial=''   # a part of a line that the shell has sent
initramfs='' # another initramfs than that of most tests
expected='^$' # complaints in the console that the test causes on purpose

# The kernel's complaints. Each of them fails the test.
complaints='WARNING:|BUG:|Oops|Kernel panic|general protection fault|unable to handle|invalid opcode|double fault|cut here|Call Trace|panicked at|suspicious RCU usage|rcu.*(stall|detected)|RCU.*stall|blocked for more than|soft lockup|hard LOCKUP|scheduling while atomic|sleeping function called|refcount_t:|Bad page|bad pte|EXT4-fs error|Failed to start|Failed to mount|systemd.*Freezing|cannot insert'

pass() {
	echo "ok - system $test_name: $*"
}

# fail REASON...: end the test with the last lines of the console.
fail() {
	trap - ERR
	printf '# %s\n' "$*" | sed '2,$s/^/# /'
	[[ ! $console ]] || {
		echo "# the end of $console:"
		tail -n 25 "$console" | tr -d '\r' | sed 's/^/#   /'
	}
	echo "not ok - system $test_name: ${step:-it failed}"
	exit 1
}
step='' # what the test is about to show

finish() {
	trap - ERR
	stop_machine
}

# stop_machine: QEMU is killed, so that the guest has a power cut. $machine is the process that has
# started QEMU in the build root. QEMU ends a moment after it, and locks the disk until then.
stop_machine() {
	local qemu

	[[ $machine ]] || return 0
	qemu=$(pgrep -P "$machine") || true
	kill -KILL "$machine" 2>/dev/null || true
	wait "$machine" 2>/dev/null || true
	[[ ! $qemu ]] || tail -f -s 0.05 --pid="$qemu" /dev/null
	machine=''
}
trap finish EXIT
trap 'fail "line $LINENO: $BASH_COMMAND"' ERR
set -E

# new_disk: start the test with the disk that scripts/guest/system-disk has made.
new_disk() {
	rm -rf "$work"
	make_disk
}

make_disk() {
	mkdir -p "$work"
	"$scripts/root/with-list" packages-disk qemu-img create -q -f qcow2 \
		-b "$("$scripts/guest/system-disk")" -F raw "$disk"
}

# new_layer: QEMU does not run. Keep what is on the disk, and let the next start write to blocks
# that QEMU has not allocated yet. QEMU writes the position of a new block to its file when the
# guest flushes the disk. So blocks that the guest writes and does not flush are lost if QEMU is
# killed, as in a disk's own cache.
new_layer() {
	local base=$work/base.qcow2

	if [[ -e $base ]]; then
		"$scripts/root/with-list" packages-disk qemu-img commit -q "$disk"
	else
		mv "$disk" "$base"
	fi
	"$scripts/root/with-list" packages-disk qemu-img create -q -f qcow2 -b "$base" -F qcow2 \
		"$disk"
}

# start_machine [PARAMETER...]: boot the guest with these parameters of the kernel, and wait for its
# shell.
start_machine() {
	launch_machine "$@"
	wait_shell
}

# launch_machine [PARAMETER...]: boot the guest, and do not wait.
launch_machine() {
	boots=$((boots + 1)) partial=''
	console=$work/console-$boots.log
	rm -f "$work"/serial.{in,out}
	mkfifo "$work"/serial.{in,out}
	DISK=$disk INITRAMFS=$(out_dir)/system/${initramfs:-initramfs} MEM=${MEM:-1G} \
		"$scripts/guest/qemu" "$accel" "file:$console" "pipe:$work/serial" \
		"$@" </dev/null >"$work/qemu.log" 2>&1 &
	machine=$!
	exec {to}<>"$work/serial.in" {from}<>"$work/serial.out"
}

# read_line SECONDS: read a line from the guest's shell to $line. Fail if there is none in time, or
# if QEMU has ended.
read_line() {
	local until=$((SECONDS + $1 * slow)) piece

	while :; do
		if IFS= read -r -t 2 -u "$from" piece; then
			line=$partial${piece%$'\r'} partial=''
			return 0
		fi
		partial+=$piece
		if ((SECONDS > until)) || ! kill -0 "$machine" 2>/dev/null; then return 1; fi
	done
}

# forget_lines: drop the lines that the guest's shell has sent and nobody has read.
forget_lines() {
	while IFS= read -r -t 0.2 -u "$from" _; do :; done
	partial=''
}

# wait_shell: wait until the guest's shell runs.
wait_shell() {
	local line seconds=240

	while read_line $seconds; do
		[[ $line =~ 'shell of '([0-9a-f-]+)$ ]] || continue
		boot_id=${BASH_REMATCH[1]}
		return 0
	done
	fail "the guest's shell does not run after $seconds s: $(<"$work/qemu.log")"
}

# send COMMAND: let the guest's shell run a command, and do not wait for its end.
send() {
	sent=$((sent + 1))
	printf '%s %q\n' "$sent" "$1" >&"$to"
}

# try COMMAND [SECONDS]: run a command in the guest. Its output is in $reply, its status is
# returned.
try() {
	send "$1"
	answer "$@"
}

# answer COMMAND [SECONDS]: wait for the end of the command that was sent last.
answer() {
	local line output=''

	while read_line "${2:-180}"; do
		case $line in
		"end $sent "*)
			reply=${output%$'\n'}
			reply=${reply%$'\n'}
			return "${line##* }"
			;;
		*'shell of '*) fail "the guest has rebooted during: $1" ;;
		esac
		output+=$line$'\n'
	done
	fail "the guest does not answer: $1"
}

# guest COMMAND [SECONDS]: run a command in the guest, which must succeed.
guest() {
	try "$@" || fail "status $?: $1: $reply"
}

# put_file PATH LINE...: write a file in the guest.
put_file() {
	guest "mkdir -p ${1%/*} && printf '%s\n' $(printf '%q ' "${@:2}") >$1"
}

# status NUMBER COMMAND: run a command in the guest, which must end with this status.
status() {
	local rc=0

	try "$2" || rc=$?
	((rc == $1)) || fail "status $rc instead of $1: $2: $reply"
}

# says PATTERN: a line of the last output must match.
says() {
	grep -qE -- "$1" <<<"$reply" || fail "no '$1' in: $reply"
}

# says_not PATTERN: no line of the last output may match.
says_not() {
	! grep -qE -- "$1" <<<"$reply" || fail "'$1' in: $reply"
}

# await SECONDS COMMAND: wait until a command in the guest succeeds.
await() {
	local until=$((SECONDS + $1 * slow))

	until try "$2"; do
		((SECONDS < until)) || fail "not after $1 s: $2: $reply"
		sleep 0.3
	done
}

# blocker UNIT: start a service that sleeps in rlp_target's sleep_show() until it is stopped. It
# blocks each transition that patches this function.
blocker() {
	guest "[ -e /proc/rlp_target ] || insmod /root/modules/rlp_target.ko"
	guest "systemd-run -q -u $1 cat /proc/rlp_target/sleep"
	await 20 "grep -q sleep_show /proc/\$(systemctl show -P MainPID $1)/stack"
}

# booted: wait until the boot is complete. No unit may have failed.
booted() {
	try 'systemctl is-system-running --wait' 300 ||
		fail "the boot is $reply: $(try 'systemctl --failed --no-legend --plain' || true; echo "$reply")"
}

# reboot [COMMAND]: reboot the guest with COMMAND (default: systemctl reboot), and wait for its
# shell.
reboot() {
	send "${1:-systemctl reboot}"
	wait_shell
}

# power_off: let systemd shut the guest down, and wait until QEMU has ended.
power_off() {
	local until=$((SECONDS + 120 * slow))

	send 'systemctl poweroff'
	while kill -0 "$machine" 2>/dev/null; do
		((SECONDS < until)) || fail "the guest does not shut down"
		sleep 0.2
	done
	wait "$machine" || true
	machine=''
}

# power_cut: kill QEMU.
power_cut() {
	stop_machine
}

# finish_test: stop the guest. The kernel must not have complained.
finish_test() {
	step="the kernel and systemd have not complained"
	stop_machine
	no_complaints
	pass "$step"
}

# no_complaints: fail if the consoles of the guest have a complaint that the test does not expect.
no_complaints() {
	local found

	found=$(cat "$work"/console-*.log | tr -d '\r' | grep -E "$complaints" |
		grep -vE "$expected" || true)
	[[ ! $found ]] || fail "in $work/console-*.log: $found"
}
