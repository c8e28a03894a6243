#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# QEMU is killed at random moments of an application of a level. Each boot afterwards succeeds, the
# kernel has the level before or the new one, and rlp says which. The evidence is whole. The level
# is then applied, or it is quarantined for a reason that rlp states.
#
# The first run is measured. The first eight power cuts are in the first four phases of a run, two
# in each. The others are at any time of a run. N=n: n power cuts, and at least eight. FUZZ_SEED=n
# repeats the times, as far as the host's speed allows.

. "$(dirname "$0")/machine.sh"
. "$(dirname "$0")/levels.sh"
RANDOM=${FUZZ_SEED:=$((EPOCHSECONDS % 32768))}
echo "# replay: make check-system T=power-cut-apply N=${N:=20} FUZZ_SEED=$FUZZ_SEED"
level=/var/lib/rlp/level
boot=/var/lib/rlp/boot/$release

# The phases of a run, in their order. All but the first and the last are those of the intent.
phases=(before loading checking confirmed after)
declare -A words=(
	[before]='before the intent'
	[loading]='the patch is being loaded'
	[checking]='the level is checked'
	[confirmed]='the level is confirmed'
	[after]='after the run'
)
declare -A begins=() # the times of a run at which the phases begin, in ms
declare -A hits=()   # the number of power cuts in each phase

# A program that prints the ms at which each phase of a run begins.
watch_phases='
	$| = 1;
	sub now {
		open my $file, "<", "/proc/uptime";
		return int(1000 * (split " ", <$file>)[0] + 0.5);
	}
	my ($start, $last) = (now(), "");
	until (-e "/run/applied") {
		my $phase = "";
		if (open my $file, "<", "'$level'/intent") {
			local $/;
			($phase) = <$file> =~ /"phase": "([a-z-]+)"/;
		}
		print now() - $start, " $phase\n" if $phase ne $last;
		$last = $phase;
		select undef, undef, undef, 0.01;
	}'

# watched_run FILE: print a command for the guest that applies a level, and writes the phases of
# that to a file.
watched_run() {
	echo "rm -f /run/applied; perl -e $(printf %q "$watch_phases") >$1 &
		rlp level apply; touch /run/applied; wait"
}

# measure: apply level 2, and measure the phases of that.
measure() {
	local ms phase last=before

	guest "$(watched_run /run/phases)"
	guest 'cat /run/phases'
	begins=([before]=0)
	while read -r ms phase; do
		begins[${phase:-after}]=$ms
		last=${phase:-after}
	done <<<"$reply"
	[[ $last == after ]] || fail "the run has ended in the phase $last: $reply"
	for phase in "${phases[@]}"; do
		[[ ${begins[$phase]:-} ]] || fail "the run had no phase $phase: $reply"
		echo "# from ${begins[$phase]} ms: ${words[$phase]}"
	done
}

# prepare: level 1 is in effect, and level 2 is due, as if it was never applied here.
prepare() {
	back_to_level 1 2
	guest "jq 'del(.verified[] | select(.level == 2))' $level/state >/run/state &&
		cp /run/state $level/state && rm -r $level/2"
	guest 'rlp level status'
	says '^decision: level 2 is due$'
	# This boot ends with a power cut, and has survived the patches that it has loaded.
	guest 'rlp boot --survived && sync'
}

# random MS: set "ms" to a random time that is shorter than this.
random() {
	ms=$(((RANDOM * 32768 + RANDOM) % ($1 + 1)))
}

# nap MS: sleep for this time.
nap() {
	sleep "$(($1 / 1000)).$(printf %03d $(($1 % 1000)))"
}

# cut_in PHASE PART: apply level 2, and cut the power in the first 1/PART of that phase.
cut_in() {
	local line number=1 next

	while [[ ${phases[$((number - 1))]} != "$1" ]]; do
		number=$((number + 1))
	done
	next=${phases[$number]}
	random $(((${begins[$next]} - ${begins[$1]}) / $2))
	step="power cut $cut, $ms ms after the start of the phase \"${words[$1]}\""
	# The program writes to the serial port of the shell.
	send "$(watched_run /dev/ttyS1)"
	if [[ $1 != before ]]; then
		until [[ ${line:-} == *" $1" ]]; do
			read_line 60 || fail "the run does not get to the phase $1: ${line:-}"
		done
	fi
	nap "$ms"
	power_cut
}

# cut_any: apply level 2, and cut the power at any time of that.
cut_any() {
	random "${begins[after]}"
	step="power cut $cut, $ms ms after the start of the run"
	send 'rlp level apply'
	nap "$ms"
	power_cut
}

# found_phase: set "phase" to the phase in which the power was cut.
found_phase() {
	if try "jq -r .phase $level/intent"; then
		phase=$reply
	elif try "jq -e '.verified[] | select(.level == 2)' $level/state"; then
		phase=after
	else
		phase=before
	fi
	[[ ${words[$phase]:-} ]] || fail "there is no phase $phase"
	hits[$phase]=$((${hits[$phase]:-0} + 1))
}

# cut_power COMMAND [ARGUMENT...]: let a command cut the power, and look at the next boot.
cut_power() {
	local ms phase head

	cut=$((cut + 1))
	guest "rlp verify --json | jq -r '\"\(.head.seq):\(.head.sha256)\"'"
	head=$reply
	"$@"
	new_layer
	start_machine
	booted
	found_phase
	step+=" (found: ${words[$phase]})"
	# No record that was acknowledged is lost, and a torn one is not taken for tampering.
	guest "rlp verify --head $head"
	says ' is whole$'
	known_level "$phase"
	finish_run "$phase"
	whole_store
	evidence_is_whole
	pass "$step: the boot has level $number, and a later run has level 2"
	prepare
}

# known_level PHASE: set "number" to the level that is in effect. The kernel has its code, and it is
# one that this phase may leave.
known_level() {
	guest 'rlp level status'
	number=$(sed -n 's/^level \([0-9]*\) is in effect (level\1)$/\1/p' <<<"$reply")
	case $1 in
	before | loading | checking) [[ $number == 1 ]] ;;
	confirmed) [[ $number == [12] ]] ;;
	after) [[ $number == 2 ]] ;;
	esac || fail "the level is '$number': $reply"
	has_level "$number"
}

# finish_run PHASE: a further run applies level 2, or says why it does not, and applies it after a
# release.
finish_run() {
	guest 'rlp level apply'
	case $1 in
	loading | checking)
		says '^level 2 is quarantined: the machine was started again before the level was confirmed$'
		says '^level 2 is blocked: it has failed on this machine: '
		has_level 1
		guest 'rlp level release --level 2 && rlp level apply'
		;;
	esac
	has_level 2
}

# whole_store: level 2 is verified, each boot loads it and nothing else, and nothing is left of the
# run that was cut off.
whole_store() {
	guest 'rlp level status'
	says '^verified and stored: 1 2$'
	each_boot_loads 2
	guest "cmp $boot/level2.ko /root/modules/level2.ko"
	guest "test ! -e $level/intent && ! find /var/lib/rlp -name '.partial-*' | grep ."
	guest 'systemctl is-enabled rlp-boot.service rlp-boot-survived.timer'
}

# write_file NAME TEXT: fill a file of 1 MB with a text, and do not flush it.
write_file() {
	guest "perl -e 'print \"$2\\n\" x 262144' |
		dd of=/root/$1 bs=1M iflag=fullblock oflag=direct conv=notrunc"
}

step="a power cut loses what the guest has written and not flushed"
new_disk
start_machine
booted
write_file flushed old
write_file not-flushed old
power_off
for attempt in 1 2 3; do
	new_layer
	start_machine
	booted
	write_file flushed new
	guest 'sync /root/flushed'
	# Both files have their blocks, so that this changes nothing in the file system's journal.
	write_file not-flushed new
	power_cut
	new_layer
	start_machine
	booted
	guest 'head -qn 1 /root/flushed /root/not-flushed | xargs'
	[[ $reply != 'new old' ]] || break
	# Another program has flushed the disk in between.
	[[ $reply == 'new new' && $attempt != 3 ]] || fail "the files have: $reply"
	power_off
done
pass "$step"

step="the machine has level 1, and level 2 is due"
policy 10-test 'ring = "canary"' 'health.settle = 1'
check_health 10-slow 'sleep 1'
install_level 1
applies_level 1
install_level 2
measure
has_level 2
whole_store
prepare
pass "$step"

cut=0
for part in 1 2; do
	for phase in "${phases[@]:0:4}"; do
		cut_power cut_in "$phase" $part
	done
done
while ((cut < N)); do
	cut_power cut_any
done
# The phase may have ended before QEMU was killed.
for phase in "${phases[@]:0:4}"; do
	for part in 3 4 5 6; do
		[[ ! ${hits[$phase]:-} ]] || break
		cut_power cut_in "$phase" $part
	done
done
step="$cut power cuts were in each phase of a run"
for phase in "${phases[@]}"; do
	echo "# ${words[$phase]}: ${hits[$phase]:-0}"
	[[ $phase == after || ${hits[$phase]:-} ]] || fail "no power cut was in the phase $phase"
done
pass "$step"

finish_test
