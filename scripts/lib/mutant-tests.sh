# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # env.sh and parts.sh set variables
#
# Build a copy of the tree, and look for the first test that fails on it. Sourced after env.sh and
# parts.sh. The script that sources this sets $tree to the copy, and $tree_out to the folder of what
# is made from it.

tree='' tree_out=''

# order KIND: print the names of the tests that selftests/mutants/ORDER has in lines KIND. The
# kind "rest" has the tests that are in no line.
order() {
	local list=$selftests_dir/mutants/ORDER

	if [[ $1 != rest ]]; then
		entries "$list" | sed -nE "s/^$1(, [^:]*)?: *//p" | tr ' ' '\n'
	else
		selftests 'busy|waiting|quiet' |
			grep -vxF "$(entries "$list" | sed 's/^[^:]*: *//' | tr ' ' '\n')"
	fi
}

# Print the names of the selftests in their order, a line for each guest.
guests() {
	{ order first && order rest && order last; } | paste -sd ' '
	order alone
}

# build_copy KO: build the copy's modules, and put the loader into KO. The file has nothing that
# depends on the lines of the source alone.
build_copy() {
	"$tree/scripts/kernel/build-modules" RLP_SELFTESTS=1 || return
	"$scripts/root/inroot" strip -g -R .note.gnu.build-id -o "$1" "$tree_out/rust_livepatch.ko"
}

# mutant_initramfs KO FILE: make the copy's initramfs, with this loader, in FILE. The kernel unpacks
# the second archive over the first one.
mutant_initramfs() {
	local folder=$2.folder

	rm -rf "$folder"
	install -D -m 644 "$1" "$folder/modules/rust_livepatch.ko"
	{
		cat "$tree_out/initramfs"
		"$scripts/guest/pack" "$folder"
	} >"$2"
	rm -rf "$folder"
}

# host_notices FILE LOG: run the test programs on the host that are built from this file of the
# source, until a test fails. Print its name. A program that cannot be built from the mutant notices
# nothing.
host_notices() {
	local program

	for program in $(order host); do
		grep -qF "\"../../$1\"" "$tree/selftests/host/$program.rs" || continue
		RLP_MUTANT=1 timeout --kill-after=20 240 "$tree/scripts/checks/host-tests" \
			"$program" >"$2" 2>&1 </dev/null && continue
		! grep -qx 'not ok - host tests do not build' "$2" || continue
		{
			sed -n 's/^not ok - //p' "$2"
			echo "host $program: no end"
		} | sed -n 1p
		return
	done
	return 1
}

# guest_notices INITRAMFS LOG NAME...: run these selftests in a guest, and end it at the first
# failed test. Print the test, and how it failed. The status is 1 if no test failed, and 2 if no
# test ran.
guest_notices() (
	initramfs=$1 log=$2
	shift 2
	: >"$log"
	set -m
	GUEST=mutant QUIET=1 INITRAMFS=$initramfs "$tree/scripts/guest/run-tests" check "$@" \
		>"$log" 2>&1 </dev/null &
	set +m
	# shellcheck disable=SC2064 # the guest that runs now
	trap "kill -- -$! 2>/dev/null" EXIT
	while kill -0 $! 2>/dev/null && ! grep -q '^not ok ' "$log"; do
		sleep 1
	done
	failure "$log"
)

# failure LOG: print the first failed test of a guest, and how it failed. The status is that of
# guest_notices.
failure() {
	local line details name

	line=$(grep -m 1 '^not ok ' "$1") || {
		grep -q '^ok ' "$1" || return 2
		return 1
	}
	details=$(sed '/^not ok /q' "$1" | tac | sed '2,$ { /^ok /Q }')
	name=$(sed -E 's/^not ok ([0-9]+ )?([^ ]+).*/\2/' <<<"$line")
	case $line$details in
	*'# the guest died'*) echo "$name: the guest died" ;;
	*'# the guest printed nothing'*) echo "$name: the guest hung" ;;
	*'# timeout after'* | *'cannot be killed'*) echo "$name: no end" ;;
	*"# complaints in the kernel's log"*) echo "$name: the kernel's log" ;;
	*) echo "$name" ;;
	esac
}
