# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034 # the variables are used by the scripts that source env.sh
#
# The differences between the architectures of the kernels. ARCH= has the name of the architecture,
# Debian's or the kernel's. Cross compilers build the programs for another architecture than this
# machine's, and its guests are emulated. Sourced by env.sh.
#
#	arch		Debian's name of the architecture
#	cross		the prefix of the compilers, and of the programs of binutils
#	arch_vars	the variables for the kernel's make
#	arch_packages	the list of packages that the build root holds for this architecture only
#	arch_images	where a kernel tree has the image that is booted
#	guest_machine	the emulator of a guest, and its options for the machine
#	guest_cpu	the processor that it emulates
#	serial		the guest's name of a serial port, without its number

# The kernel's make takes an empty variable of the environment for the name of an architecture.
[[ ${ARCH:-} ]] || unset ARCH

case ${ARCH:-amd64} in
amd64 | x86_64 | x86)
	arch=amd64 cross='' arch_packages=''
	arch_vars=${ARCH:+ARCH=x86_64}
	arch_images=(vmlinuz arch/x86/boot/bzImage)
	guest_machine=(qemu-system-x86_64) guest_cpu=max
	serial=ttyS
	;;
arm64 | aarch64)
	arch=arm64 cross=aarch64-linux-gnu- arch_packages=packages-arm64
	[[ $(uname -m) != aarch64 ]] || cross=''
	arch_vars="ARCH=arm64${cross:+ CROSS_COMPILE=$cross}"
	arch_images=(vmlinuz arch/arm64/boot/Image)
	# The emulated processor has pointer authentication, which is fast only with an algorithm of
	# QEMU's own.
	guest_machine=(qemu-system-aarch64 -machine "virt,gic-version=3")
	guest_cpu=max,pauth-impdef=on
	serial=ttyAMA
	;;
*)
	die "ARCH=$ARCH is not supported: only amd64 and arm64 are"
	;;
esac

# is_foreign: whether programs for this architecture do not run on this machine.
is_foreign() {
	[[ $arch != amd64 ]]
}
