# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # machine.sh has and uses the variables
#
# Several guests that reach each other (scripts/guest/network-options), and nothing else. Sourced
# after machine.sh, whose functions are about one guest: on() chooses it.
#
#	machines=(feed host)	the names, in their order on the network: the addresses are
#				192.0.2.1, 192.0.2.2, ... (RFC 5737)
#	start_fleet		new disks, and boots; all guests boot at the same time
#	on host guest 'ls'	run a function of machine.sh with this guest

machines=()
fleet=$work    # the folder of all guests, where the sockets of the network are
current=''     # the guest that machine.sh's variables are about
declare -A kept # the variables of the other guests

# of_guest: the variables of machine.sh that each guest has.
of_guest=(work disk boots console machine sent reply boot_id partial to from)

# on NAME [COMMAND...]: from now on, the functions of machine.sh are about this guest. Run one.
on() {
	local name=$1 field
	shift

	if [[ $name != "$current" ]]; then
		for field in "${of_guest[@]}"; do
			[[ ! $current ]] || kept[$current.$field]=${!field}
			printf -v "$field" %s "${kept[$name.$field]:-}"
		done
		current=$name
	fi
	"$@"
}

number_of() {
	local i

	for i in "${!machines[@]}"; do
		[[ ${machines[i]} != "$1" ]] || echo $((i + 1))
	done
}

address_of() {
	echo "192.0.2.$(number_of "$1")"
}

# launch [PARAMETER...]: boot the current guest. Guests from one disk would have one machine id, so
# each gets its own.
launch() {
	local id

	id=$(printf '%s' "$test_name $current" | sha256sum | cut -c1-32)
	NETWORK="$fleet $(number_of "$current") ${#machines[@]}" launch_machine net.ifnames=0 \
		"systemd.hostname=$current" "systemd.machine_id=$id" "$@"
}

# join: give the current guest its address, and the names of the others. The boot does not wait for
# the network card.
join() {
	local name names=''

	for name in "${machines[@]}"; do
		names+="$(address_of "$name") $name"$'\n'
	done
	await 120 'test -e /sys/class/net/eth0'
	guest "ip link set eth0 up && ip address add $(address_of "$current")/24 dev eth0 &&
		printf %s '$names' >>/etc/hosts"
}

# prepare NAME: make the disk of a guest.
prepare() {
	work=$fleet/$1 disk=$fleet/$1/disk.qcow2 boots=0 sent=0
	make_disk
}

start_fleet() {
	local name

	rm -rf "$fleet"
	for name in "${machines[@]}"; do
		on "$name" prepare "$name"
		on "$name" launch
	done
	for name in "${machines[@]}"; do
		on "$name" wait_shell
	done
	for name in "${machines[@]}"; do
		on "$name" booted
		on "$name" join
	done
}

# signing_key: set reply to the fingerprint of the publisher's key. The publisher is the user levels
# of the current guest.
signing_key() {
	guest 'runuser -l levels -c "gpg --list-secret-keys --with-colons 2>/dev/null" |
		sed -n "/^fpr/{s/[^0-9A-F]//g;p;q}"'
}

# subscribe HOST KEY: the current guest gets its levels from that host, whose publisher has that
# key. These are the files of the package rlp-archive-keyring.
subscribe() {
	local keyring=rlp-archive-keyring.asc

	put_file "/usr/share/keyrings/$keyring" "$2"
	put_file /etc/apt/sources.list.d/rlp.sources "$(sed -e "s,@REPOSITORY@,http://$1," \
		-e "s,@KEY@,$keyring," "$top/debian/keyring.sources")"
}

# The trap of machine.sh calls this when the script ends.
finish() {
	local name

	trap - ERR
	for name in "${machines[@]}"; do
		on "$name" stop_machine
	done
}

# finish_fleet: stop the guests. No kernel must have complained.
finish_fleet() {
	local name

	step="the kernels and systemd have not complained"
	for name in "${machines[@]}"; do
		on "$name" stop_machine
		on "$name" no_complaints
	done
	pass "$step"
}
