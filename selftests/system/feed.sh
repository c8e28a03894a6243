#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The feed of a machine is down, frozen, or tampered with: apt installs nothing of it, the level in
# effect stays, and rlp shows the age of the feed. One guest has the repository and its web server.

. "$(dirname "$0")/machine.sh"
. "$(dirname "$0")/fleet.sh"
. "$(dirname "$0")/levels.sh"
machines=(feed host)
update='apt-get -o APT::Update::Error-Mode=any update'

# repository COMMAND...: run a command of the publisher.
repository() {
	on feed guest "runuser -l levels -c '/usr/share/rlp/repository $*'"
}

# build_level NUMBER: build the package of that level on the guest with the repository.
build_level() {
	on feed level_files "$1"
	guest "rlp level build --level $1 --out /srv/level-$1 /root/kernel"
}

# serve FOLDER: let the web server show this copy of the repository.
serve() {
	on feed guest "systemctl stop web 2>/dev/null
		systemd-run -q --collect -u web busybox httpd -f -p 80 -h $1"
	on feed await 20 'ss -Hltn "sport = 80" | grep -q .'
}

# shift_clock DAYS: set the clock of the current guest forward, or back.
shift_clock() {
	guest "date -s \"\$(date -d '$1 days')\""
}

# host_has NUMBER: that level is installed and in effect on the host.
host_has() {
	on host guest 'dpkg-query -W rlp-level'
	says "	$1\$"
	has_level "$1"
	says "^level $1 of .* is installed"
}

# refused PATTERN COMMAND: apt refuses, and says why.
refused() {
	on host status 100 "$2"
	says "$1"
	host_has 1
}

step="a machine gets a level from the repository of another one"
start_fleet
# When the clock of the host is set forward, apt-daily.timer would run apt beside the test.
on host guest 'systemctl stop apt-daily.timer apt-daily-upgrade.timer'
on feed guest 'useradd --create-home levels && install -d -o levels /srv/levels'
build_level 1
build_level 2
# The first indexes are nine days old, and valid for seven.
on feed shift_clock -9
on feed guest "runuser -l levels -c 'gpg --batch --quiet --passphrase \"\" \
	--quick-generate-key levels@example.org ed25519 sign 2y'"
on feed signing_key
repository init /srv/levels --key "$reply" --origin example --valid 7
repository add /srv/levels /srv/level-1/rlp-level_1_amd64.deb
repository promote /srv/levels rlp-level=1
on feed guest 'cp -a /srv/levels/public /srv/frozen'
on feed shift_clock 9
on feed status 6 "runuser -l levels -c '/usr/share/rlp/repository status /srv/levels'"
says '^stable: expired: the machines refuse it'
repository refresh /srv/levels
repository key /srv/levels levels.asc
on feed guest 'cat ~levels/levels.asc'
key=$reply
serve /srv/levels/public
on host guest 'rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*'
policy 10-test 'ring = "canary"' 'health.settle = 2'
subscribe feed "$key"
guest 'rlp level status'
says '^apt has no index of the repository in /etc/apt/sources.list.d/rlp.sources$'
guest "$update && apt-get -y install rlp-level && systemctl start rlp-apply.service"
host_has 1
says '^feed: example stable, signed [0-9]+ (s|min).* ago, valid until 20'
guest 'rlp status --nagios'
says '^LIVEPATCH OK'
guest 'rlp heartbeat'
says '^feed: example stable, signed 20'
pass "$step"

step="the feed is down: the level stays, and the age of the feed is shown"
on feed guest 'systemctl stop web'
refused 'Could not connect to feed:80' "$update"
says '^feed: example stable, signed'
# Three days pass, and then eight.
on host shift_clock 3
host_has 1
says '^the feed example stable is old: its index was signed at 20'
status 1 'rlp status --nagios'
says '^LIVEPATCH WARNING - the feed example stable is old'
try 'rlp doctor' || true
says '^note +the feed example stable is old'
on host shift_clock 5
host_has 1
says '^the feed example stable has expired'
guest 'rlp level status --json | jq -r ".feeds[0].age"'
says '^expired$'
status 2 'rlp status --nagios'
status 6 'rlp doctor'
says '^wrong +the feed example stable has expired'
on host shift_clock -8
pass "$step"

step="the feed is frozen: apt refuses an index that has expired"
repository add /srv/levels /srv/level-2/rlp-level_2_amd64.deb
repository promote /srv/levels rlp-level=2
serve /srv/frozen
refused 'is expired' "$update"
says '^feed: example stable, signed [0-9]+ (s|min)'
# A machine without an index of the repository does not accept the expired one, either.
guest 'mv /var/lib/apt/lists /var/lib/apt/kept && mkdir -p /var/lib/apt/lists/partial'
refused 'is expired' "$update"
says '^apt has no index of the repository'
guest 'rm -r /var/lib/apt/lists && mv /var/lib/apt/kept /var/lib/apt/lists'
pass "$step"

step="the feed is tampered with: apt refuses an index that was changed"
on feed guest 'rm -rf /srv/spoilt && cp -a /srv/levels/public /srv/spoilt && cd /srv/spoilt/dists/stable &&
	sed -i "s/^Description: .*/Description: changed/" InRelease Release &&
	grep -q changed InRelease'
serve /srv/spoilt
refused 'OpenPGP signature verification failed' "$update"
says '^feed: example stable, signed'
pass "$step"

step="the feed is tampered with: apt refuses a package that was changed"
on feed guest 'rm -rf /srv/spoilt && cp -a /srv/levels/public /srv/spoilt &&
	deb=$(find /srv/spoilt -name rlp-level_2_amd64.deb) &&
	dd if=/dev/zero of=$deb bs=1 seek=3000 count=64 conv=notrunc status=none &&
	! cmp -s $deb /srv/level-2/rlp-level_2_amd64.deb'
serve /srv/spoilt
# apt may continue the shorter file that it has refused before, and then fails once more.
on host await 60 "$update"
refused 'Hash Sum mismatch' 'apt-get -y install rlp-level'
pass "$step"

step="the feed works again: the machine gets the next level"
serve /srv/levels/public
on host guest "$update && apt-get -y install rlp-level && systemctl start rlp-apply.service"
host_has 2
evidence_is_whole
pass "$step"

finish_fleet
