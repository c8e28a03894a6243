#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Run each script of ../livepatch with the loader in Rust. Its directory is
# mounted over that of in-tree livepatch, and dmesg shows its messages with the
# prefix that the scripts expect.

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../kselftest/ktap_helpers.sh"
suite=$here
[[ -e $suite/functions.sh ]] || suite=$here/../livepatch
parameters=/sys/module/rust_livepatch/parameters

ktap_print_header
if [[ $(id -u) != 0 ]]; then
	ktap_skip_all "must be run as root"
	exit "$KSFT_SKIP"
fi
if [[ ! -d $parameters ]] && ! modprobe rust_livepatch; then
	ktap_skip_all "the kernel has no loader in Rust"
	exit "$KSFT_SKIP"
fi
if [[ ! -d /sys/kernel/livepatch ]]; then
	ktap_skip_all "the kernel has no in-tree livepatch, which the scripts are for"
	exit "$KSFT_SKIP"
fi

work=$(mktemp -d)
install -D -m 755 "$here/dmesg" "$work/bin/dmesg"
cp "$suite"/functions.sh "$suite"/test-*.sh "$here/test_klp-call_getpid" "$work/"
rm -f "$work/${0##*/}"
ln -s "$here/test_modules" "$work/test_modules"

debug=$(<$parameters/debug)
echo Y >$parameters/debug
mount --bind /sys/kernel/rust_livepatch /sys/kernel/livepatch
end() {
	umount /sys/kernel/livepatch
	echo "$debug" >$parameters/debug
	rm -rf "$work"
}
trap end EXIT
trap 'exit 1' INT TERM

# The modules were built before. The scripts only check that KDIR is a folder.
export KDIR=/ PATH=$work/bin:$PATH
cd "$work" || exit 1
scripts=(test-*.sh)
ktap_set_plan ${#scripts[@]}
for script in "${scripts[@]}"; do
	if "./$script"; then
		ktap_test_pass "$script"
	elif [[ $? == "$KSFT_SKIP" ]]; then
		ktap_test_skip "$script"
	else
		ktap_test_fail "$script"
	fi
done
ktap_finished
