#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# From a machine without live patches to a patched machine, and back. The commands of
# Documentation/operating.rst are read from that file, so that a change of the guide is tested.

. "$(dirname "$0")/machine.sh"
export release_pattern

# The commands of the guide, and the output that it shows for each. Root types the commands behind
# "#", and another user those behind "$".
commands=() users=() outputs=()
read_guide() {
	local line in_example=''

	while IFS= read -r line; do
		case $line in
		'    # '* | '    $ '*)
			users+=("${line:4:1}") commands+=("${line:6}") outputs+=('')
			in_example=yes
			;;
		'    '*) [[ ! $in_example ]] || outputs[-1]+=${line:4}$'\n' ;;
		?*) in_example='' ;;
		esac
	done <"$top/Documentation/operating.rst"
}

# Print a Perl regular expression for each line of an example. Numbers and the release may differ,
# and "..." is any text.
pattern_of() {
	perl -ne 'chomp; next if /^\s*(\.\.\.)?$/;
	my $varying =
		qr/(CVE-[0-9-]+|level [0-9]+|[0-9.]+\+deb[0-9a-z-]+|0x[0-9a-f]+|[0-9]+|\.\.\.)/;
	print "^", join("", map {
		/^(CVE|level)/ ? quotemeta :
		/\+deb/ ? $ENV{release_pattern} :
		/^0x/ ? "0x[0-9a-f]+" :
		/^[0-9]+$/ ? "[0-9]+" :
		$_ eq "..." ? ".*" : quotemeta
	} split $varying), "\$\n"'
}

# The needs of some commands, and the status of those that do not end with 0.
installed=$(cd "$(out_dir)/system/install" &&
	find . ! -type d ! -path './root/*' ! -name 'test-shell*' -printf '%p ')
health="curl -fsS http://localhost/health"
declare -A before=(
	# The archive has the files of "make install", which are on the disk already.
	['tar -C / --keep-directory-symlink -xf image.tar']="tar -C / -cf image.tar $installed &&
		cp image.tar kept.tar"
	# There is no curl on the disk.
	["rlp load --test '$health' fix.ko"]="rlp unload fix &&
		printf '%s\n' '#!/bin/sh' \
			'test \"\$*\" = \"${health#curl }\" && nc -z localhost 80' \
			>/usr/local/bin/curl &&
		chmod +x /usr/local/bin/curl && systemd-run -q -u health nc -lk 127.0.0.1 80 &&
		until nc -z localhost 80; do sleep 0.2; done"
	# A service that sleeps in a function that a patch replaces.
	['rlp load --timeout 10 fix.ko']='insmod modules/rlp_target.ko && ln -s /usr/bin/cat /usr/local/bin/backup &&
		systemd-run -q -u backup backup /proc/rlp_target/sleep &&
		until grep -q sleep_show /proc/$(systemctl show -P MainPID backup)/stack; do
			sleep 0.2
		done'
)
declare -A ends=(['rlp load --timeout 10 fix.ko']=4)

# The guest types these commands in place of those of the guide: fix.ko does not replace a function
# in which a task can be kept.
declare -A instead=(
	['rlp load --timeout 10 fix.ko']='rlp load --timeout 10 --parameter=funcs=rlp_target:sleep_show modules/rlp_patch_a.ko'
)
declare -A after=(
	['rlp load --timeout 10 fix.ko']='rlp unload rlp_patch_a && systemctl stop backup.service && rmmod rlp_target &&
		rm /usr/local/bin/backup'
)

# These commands are for the machine that builds the loader. Their results are on the disk: see
# scripts/guest/system-initramfs, and scripts/checks/test-livepatch.sh for patches.
for_builders='^(make|tar -C image)( |$)'

# The guest has no proof, because rlp-build did not build the patch.
other_line='^ok     fix.ko has a proof for this build of the kernel$'

# run_command NUMBER: run a command of the guide. Its output must have the lines that the guide
# shows.
run_command() {
	local command=${commands[$1]} line pattern

	[[ ! ${before[$command]:-} ]] || guest "${before[$command]}"
	if [[ ${users[$1]} == '#' ]]; then
		status "${ends[$command]:-0}" "${instead[$command]:-$command}"
	else
		status "${ends[$command]:-0}" \
			"setpriv --reuid 65534 --regid 65534 --clear-groups $command"
	fi
	while IFS= read -r line; do
		if [[ $line =~ $other_line ]]; then
			says 'fix.ko has no proof beside it'
			continue
		fi
		[[ ! ${instead[$command]:-} ]] || line=$(sed -E 's/\bfix\b/rlp_patch_a/; s/nfs_wait/sleep_show/; s/\[nfs]/[rlp_target]/' <<<"$line")
		pattern=$(pattern_of <<<"$line")
		[[ ! $pattern ]] || grep -qP -- "$pattern" <<<"$reply" ||
			fail "'$command' does not print '$line' (as $pattern): $reply"
	done <<<"${outputs[$1]}"
	[[ ! ${after[$command]:-} ]] || guest "${after[$command]}"
	echo "# ${users[$1]} $command"
}

# Whether fix.ko is in effect: it makes pause(2) fail with EPERM (1).
is_fixed() {
	guest 'timeout 2 perl -e "syscall(34); print \$! + 0" || true'
	[[ $reply == 1 ]]
}

# Set "busy" to the ticks that the CPUs of this host were busy, and "all" to all of their ticks.
read_ticks() {
	local cpu user nice system idle iowait irq softirq rest

	# shellcheck disable=SC2034 # the first word and the rest of the line
	read -r cpu user nice system idle iowait irq softirq rest </proc/stat
	busy=$((user + nice + system + irq + softirq)) all=$((busy + idle + iowait))
}

step="the machine boots, and the loader is installed"
new_disk
start=$SECONDS
read_ticks
busy_before=$busy all_before=$all
start_machine
echo "# $((SECONDS - start)) s to the shell of the tests"
until grep -qa 'login: ' "$console"; do
	((SECONDS - start < 300 * slow)) ||
		fail "no login on the console after $((SECONDS - start)) s"
	sleep 0.2
done
seconds=$((SECONDS - start))
read_ticks
others=$((busy - busy_before))
for pid in "$machine" $(pgrep -P "$machine"); do
	read -ra stat <"/proc/$pid/stat" # the user time and the system time are the words 14 and 15
	others=$((others - stat[13] - stat[14]))
done
others=$((others * 100 / (all - all_before + 1)))
booted
echo "# $((SECONDS - start)) s to the end of the boot"
fix=/root/modules/rust_livepatch_cmdline.ko name=rust_livepatch_cmdline
guest 'test -s /usr/share/man/man8/rlp-load.8'
guest 'apt-get check'
guest '. /usr/share/bash-completion/completions/rlp && complete -p rlp'
guest 'rlp check --kernel'
says "^ok +the loader is installed for $release_pattern, and is not loaded"
guest "rlp check $fix"
says "^ok +.*is a live patch for $release_pattern"
guest 'cat /proc/cmdline'
says '^console='
pass "$step"

step="the console asks for a login within 30 s"
# Other programs on this host make the boot slower: the guest has the rest of the CPUs. A host whose
# other programs use up to 10 % counts as idle.
rest=$((others > 90 ? 10 : others > 10 ? 100 - others : 100))
limit=$((30 * slow * 100 / rest))
((seconds <= limit)) || fail "after $seconds s, and the limit is $limit s"
pass "$step: after $seconds s, while other programs used $others % of the CPUs"

step="the commands of operating.rst do what it says"
read_guide
((${#commands[@]} >= 11)) || fail "the guide has these commands only: ${commands[*]}"
guest 'cp modules/fix.ko .'
! is_fixed || fail "pause(2) fails without the patch"
for number in "${!commands[@]}"; do
	[[ ! ${commands[$number]} =~ $for_builders ]] || continue
	run_command "$number"
	case ${commands[$number]} in
	'rlp load --probation'*) is_fixed || fail "the patch has no effect" ;;
	'rlp unload fix') ! is_fixed || fail "the patch is still in effect" ;;
	esac
done
guest 'systemctl stop health.service; rm /usr/local/bin/curl'
# The guide may have removed everything.
guest '[ ! -e kept.tar ] || { tar -C / --keep-directory-symlink -xf kept.tar && depmod && systemctl daemon-reload; }'
guest 'systemctl disable rlp-boot.service rlp-boot-survived.timer rlp-heartbeat.timer'
pass "$step"

step="a patch on probation is loaded and confirmed"
guest "rlp load --probation 600 $fix"
says "^$name: loaded$"
says 'in effect after [0-9]+ ms'
says "on probation: the loader takes it back in (600|59[0-9]) s, unless: rlp confirm $name"
guest 'cat /proc/cmdline'
says '^this has been live patched$'
guest "rlp confirm $name"
says "^$name: confirmed$"
guest "rlp load $fix"
says "is loaded already"
pass "$step"

step="status shows the patch"
guest 'rlp status'
says "^kernel $release_pattern$"
says "^$name"
says 'in effect since 20'
says '1 function in vmlinux'
guest 'rlp status --nagios'
says '^LIVEPATCH OK - 1 patch in effect'
guest 'rlp status --json | jq -r .patches[0].name'
says "^$name$"
guest "rlp info $name"
pass "$step"

step="a user that is not root sees what is in effect, and changes nothing"
as_user='setpriv --reuid 65534 --regid 65534 --clear-groups rlp'
guest "$as_user status"
says 'in effect since'
guest "$as_user status --nagios"
guest "$as_user info $name"
guest "$as_user history"
try "$as_user doctor" || true
says "^ok"
for change in "unload $name" "load $fix" "install $fix" "uninstall $name" reverse \
	"confirm $name"; do
	status 3 "$as_user $change"
	says 'only root may'
done
guest 'rlp status --nagios'
says '^LIVEPATCH OK'
pass "$step"

step="the patch is taken back"
guest "rlp unload $name"
says "^$name: unloaded$"
guest 'cat /proc/cmdline'
says '^console='
guest "rlp load --test 'grep -q patched /proc/cmdline' $fix"
says 'confirmed'
guest 'rlp unload --all'
status 5 "rlp load --test 'exit 1' $fix"
guest 'rmmod rust_livepatch'
status 1 'rlp status --nagios'
pass "$step"

step="the history has every action"
guest 'rlp history'
for action in load confirm unload; do
	says "$name  $action"
done
guest 'rlp history --json | jq -e ".damaged == 0 and (.records | length > 8)"'
pass "$step"

finish_test
