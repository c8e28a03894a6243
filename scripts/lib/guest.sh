# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The kernel and the parameters of a guest, in each emulator. Sourced after env.sh.

# Print the kernel's image.
guest_image() {
	local image

	# shellcheck disable=SC2154 # set by env.sh
	for image in "${arch_images[@]}"; do
		[[ ! -e $kernel/$image ]] || { echo "$kernel/$image" && return; }
	done
	die "there is no kernel to boot: neither ${arch_images[0]} nor ${arch_images[1]} in $kernel"
}

# guest_parameters CONSOLE PARAMETER...: print the kernel's command line. It has the fixed
# parameters of all guests, then those in KERNEL_ARGS, which override the fixed ones, and then the
# given ones.
guest_parameters() {
	local console=$1
	shift

	# Init assumes that the serial ports are called ttyS0 and ttyS1.
	# shellcheck disable=SC2154 # set by env.sh
	[[ $serial == ttyS ]] || set -- RLP_SERIAL="$serial" "$@"
	echo "console=$console panic=-1 oops=panic softlockup_panic=1 watchdog_thresh=20 log_buf_len=8M printk.devkmsg=on ${KERNEL_ARGS:-} $*"
}
