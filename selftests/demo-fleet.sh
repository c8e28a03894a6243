#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A fleet of three machines, from nothing to a report. host1 has a repository of levels, and is the
# canary; host2 and host3 follow. Level 2 fails the health check of host3. The machines are guests
# that reach each other, and nothing else. This script types commands on them, and prints
# "demo-fleet: OK" only if each step had the effect that it should have.
#
# apt and rlp-apply.service do the work: no command below loads a patch.

. "$(dirname "$0")/system/machine.sh"
. "$(dirname "$0")/system/fleet.sh"
machines=(host1 host2 host3)
initramfs='initramfs-bare'
begin=$SECONDS first_day=$(date -u +%F)

# Level 2 fails on host3, and systemd says so on its console.
expected='Failed to start .*rlp-apply'

fail() {
	trap - ERR
	echo "demo-fleet: FAILED${current:+ on $current}${step:+, at \"$step\"}: $*"
	[[ ! $console ]] || echo "the consoles: $fleet/*/console-1.log"
	exit 1
}

pass() {
	:
}

elapsed() {
	printf '%d:%02d' $(((SECONDS - begin) / 60)) $(((SECONDS - begin) % 60))
}

# say TEXT: announce the next step, with the time since the beginning.
say() {
	step=$*
	printf '\n# %s  %s\n' "$(elapsed)" "$step"
}

# show HOST COMMAND [STATUS]: print the command as if it was typed, run it, and print its output. It
# must end with this status.
show() {
	on "$1"
	echo "$1# $2"
	status "${3:-0}" "$2"
	[[ ! $reply ]] || echo "$reply"
}

# together COMMAND HOST...: run a command on several hosts at the same time, without its output.
together() {
	local command=$1 host
	shift

	for host; do
		echo "$host# $command"
		on "$host" send "$command"
	done
	for host; do
		on "$host" answer "$command" || fail "$command: $reply"
	done
}

# applies LEVEL HOST...: wait until rlp-apply.service has applied this level on these hosts. The
# package of rlp starts it, after apt has installed the level.
applies() {
	local host

	for host in "${@:2}"; do
		on "$host" await 180 'systemctl show -P ActiveState rlp-apply.service | grep -qx inactive &&
			rlp level status | grep -q "^level '"$1"' is in effect"'
		show "$host" 'rlp level status | head -n 3'
		says "^level $1 is in effect \(level$1\)$"
		on "$host" guest 'cat /proc/version'
		says "^level $1$"
	done
}

# build_level NUMBER: build the package of a level on host1, for the kernel that runs there.
build_level() {
	on host1 guest "mkdir -p $release /srv/documents/level-$1 && rm -f $release/level*.ko &&
		cp modules/{level$1,rust_livepatch}.ko $release/ &&
		cat /sys/kernel/notes >$release/notes"
	show host1 "rlp level build --level $1 --out /srv/documents/level-$1 --cve-data cves.json $release"
}

# publisher COMMAND: type a command as the publisher, who has an account of his own on host1.
publisher() {
	on host1
	echo "levels@host1\$ $1"
	guest "runuser -l levels -c $(printf %q "$1")"
	[[ ! $reply ]] || echo "$reply"
}

repository() {
	publisher "/usr/share/rlp/repository $1"
}

say "three machines with $release boot at the same time"
start_fleet
for host in "${machines[@]}"; do
	on "$host"
	# The machines reach no other archive than that of host1.
	guest 'rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*'
	guest 'ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key'
done
show host2 'uname -r'
says "^$release_pattern$"
show host2 'cat /proc/version'
says '^Linux version'
status 1 'command -v rlp'

say "host1 gets a repository, with a key of its own and a web server"
on host1 guest 'dpkg -i debs/rlp_*.deb'
on host1 guest 'useradd --create-home levels && install -d -o levels /srv/levels /srv/documents'
publisher "gpg --batch --quiet --passphrase '' --quick-generate-key levels@example.org ed25519 sign 2y"
on host1 signing_key
repository "init /srv/levels --key $reply --origin example"
show host1 'systemd-run -q -u web busybox httpd -f -p 80 -h /srv/levels/public'
repository 'key /srv/levels levels.asc'
on host1 guest 'cat ~levels/levels.asc'
key=$reply
on host1 guest 'dpkg-deb --field debs/rlp_*.deb Version'
version=$reply
on host1 guest 'cp debs/rlp_*.deb /srv/'
repository 'add /srv/levels /srv/rlp_*.deb'

say "the first level has a fix for CVE-2026-0001. The canary and the others get it"
long_ago=$(date -u -d '-60 days' +%F) recently=$(date -u -d '-10 days' +%F)
on host1 put_file /root/cves.json '{' \
	"  \"CVE-2026-0001\": { \"severity\": \"medium\", \"disclosed\": \"$long_ago\" }," \
	"  \"CVE-2026-0002\": { \"severity\": \"high\", \"disclosed\": \"$recently\" }" '}'
build_level 1
repository 'add /srv/levels /srv/documents/level-1/rlp-level_1_amd64.deb'
repository "promote /srv/levels rlp=$version rlp-level=1"

say "the policy of each machine: host1 is a canary, host2 and host3 come later"
for host in "${machines[@]}"; do
	on "$host" subscribe host1 "$key"
done
on host1 put_file /etc/rlp/policy.d/10-demo.toml 'ring = "canary"' 'health.settle = 5'
on host1 guest 'sed -i "s/stable$/canary/" /etc/apt/sources.list.d/rlp.sources'
for host in host2 host3; do
	# The built-in policy waits a day for a fix of high severity in this ring.
	on "$host" put_file /etc/rlp/policy.d/10-demo.toml 'ring = "early"' 'health.settle = 5' \
		'delay.early = { critical = 0, high = 0, medium = 0, low = 0, unknown = 0 }'
done
# A health check: a program on host3 cannot read what level 2 makes of /proc/version.
on host3 put_file /etc/rlp/health.d/10-inventory '#!/bin/sh' '! grep -qx "level 2" /proc/version'
on host3 guest 'chmod +x /etc/rlp/health.d/10-inventory'
show host1 'cat /etc/rlp/policy.d/10-demo.toml'
show host2 'cat /etc/rlp/policy.d/10-demo.toml'
show host3 'cat /etc/rlp/health.d/10-inventory'

say "apt installs rlp and level 1, and rlp-apply.service applies the level"
together 'apt-get -q update && apt-get -qy install rlp rlp-level' "${machines[@]}"
applies 1 "${machines[@]}"

say "level 2 also fixes CVE-2026-0002. The canary has it first"
build_level 2
repository 'add /srv/levels /srv/documents/level-2/rlp-level_2_amd64.deb'
together 'apt-get -q update && apt-get -qy upgrade' "${machines[@]}"
applies 2 host1
show host2 'apt-cache policy rlp-level | head -n 3'
says 'Candidate: 1$'
show host3 'cat /proc/version'
says '^level 1$'

say "the canary is well, so level 2 is promoted. host2 applies it; host3 takes it back"
repository 'promote /srv/levels rlp-level=2'
together 'apt-get -q update && apt-get -qy upgrade' host2 host3
applies 2 host2
on host3 await 180 'systemctl is-failed -q rlp-apply.service'
show host3 'journalctl -b -o cat -u rlp-apply.service | grep "^level 2"'
says '^level 2 is quarantined: the check 10-inventory has failed'
show host3 'rlp level status'
says '^level 1 is in effect \(level1\)$'
says '^quarantined: 2, since .*: the check 10-inventory has failed'
show host3 'cat /proc/version'
says '^level 1$'
show host3 'rlp info CVE-2026-0001'
show host3 'rlp info CVE-2026-0002' 6

say "each machine exports its evidence, signed with the key of its SSH server"
on host1 guest 'mkdir -p /srv/evidence && cd /srv/evidence && rlp evidence export . >/dev/null &&
	echo "$(rlp verify --json | jq -r .host) namespaces=\"evidence\" $(cut -d " " -f 1,2 /etc/ssh/ssh_host_ed25519_key.pub)" >/root/keys &&
	echo "$(rlp verify --json | jq -r .host) host1" >/root/hosts'
for host in host2 host3; do
	show "$host" 'rlp evidence export /srv/evidence'
	guest 'rlp verify --json | jq -r .host'
	id=$reply
	guest 'cut -d " " -f 1,2 /etc/ssh/ssh_host_ed25519_key.pub'
	on host1 guest "echo '$id namespaces=\"evidence\" $reply' >>keys && echo '$id $host' >>hosts &&
		systemd-run -q -u from-$host sh -c 'nc -l 192.0.2.1 7000 | tar -C /srv/evidence -x'"
	on host1 await 20 'ss -Hltn "sport = 7000" | grep -q .'
	on "$host" guest 'tar -C /srv/evidence -c . | nc -N host1 7000'
	on host1 await 20 "! systemctl is-active -q from-$host"
done
show host1 'ls /srv/evidence'

say "the report: host3 is not protected from CVE-2026-0002"
show host1 "rlp report --from $first_day --to $(date -u +%F) --inventory hosts --key keys --level /srv/documents /srv/evidence"
says '^hosts with evidence that is whole: 3, not verified: 0, without evidence: 0$'
says '^CVE-2026-0002: high'
says '^  protected: 2 of 3 hosts \(verified 2, open 1\)$'
says '^  CVE-2026-0002 [0-9a-f]{32} \(host3\): open \(.*: level 2: the check 10-inventory has failed'

for host in "${machines[@]}"; do
	on "$host" stop_machine
	on "$host" no_complaints
done
printf '\ndemo-fleet: OK, after %s\n' "$(elapsed)"
