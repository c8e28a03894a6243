# SPDX-License-Identifier: GPL-2.0
#
# Every target first makes what it needs. The modules themselves are described in Kbuild, for the
# kernel's make.

SUITE     ?= trixie
CACHE_DIR ?= build

settings := ARCH SUITE FLAVOUR KERNEL_RELEASE DEBS CACHE_DIR KDIR MIRROR APTOPT T MINUTES DEBUG \
	SLOW LOADER ACCEL CPUS MEM KERNEL_ARGS DESTDIR ICOUNT BENCH_QUICK BENCH_SECTIONS \
	BENCH_LOADERS FUZZ_SEED FUZZ_PINS FUZZ_KEPT FAULTS LONG PATCH ALLOW TCG_THREAD \
	SRCPATCH NAME N SEED MUTANT SECUREBOOT IBT KEYRING REPOSITORY \
	MAINTAINER KERNEL
export $(settings)
export RLP_SETTINGS := $(settings)

# Other variables on the command line (LLVM=1, V=1, ...) are passed to the kernel's make.
export MAKEVARS := $(foreach var,$(filter-out $(settings:%=%=%),$(MAKEOVERRIDES)),\
	$(if $(findstring =,$(var)),$(var)))

# These targets work for the kernels of another architecture (Documentation/arm64.rst).
foreign := modules demo shell patch torture fuzz check selftests install update distclean help
ifneq ($(filter arm64 aarch64,$(ARCH)),)
unsupported := $(filter-out $(foreign),$(MAKECMDGOALS)) \
	$(foreach var,SECUREBOOT IBT DEBUG,$(if $($(var)),$(var)=))
ifneq ($(strip $(unsupported)),)
$(error ARCH=$(ARCH) does not support $(strip $(unsupported)) yet: see Documentation/arm64.rst)
endif
endif

# asroot runs a command as root, or as root of a user namespace.
asroot := scripts/root/asroot

# Modules for the user's own tree (KDIR=) are built with the user's own tools and rights.
modules:
ifneq ($(KDIR),)
	@scripts/modules
else
	@$(asroot) scripts/modules
endif

# DEBUG= names a debug kernel to use in place of the stock kernel.
demo demo-fleet shell patch torture fuzz everything kselftest-upstream:
	@$(asroot) $(if $(DEBUG),scripts/kernel/with-debug $(DEBUG)) scripts/$@

check check-debug check-kernel-patches check-ops check-system selftests bench bench-table \
	livepatch livepatch-corpus triage deb kernel-patches mutants:
	@$(asroot) scripts/$@

rustfmt clippy shellcheck host-tests litmus:
	@$(asroot) scripts/part $@

# rlp and rlp-build are built in the build root, which a build for KDIR= does not need.
install: modules $(if $(KDIR)$(filter arm64 aarch64,$(ARCH)),,programs)
	@scripts/install

programs:
	@$(asroot) scripts/programs

# Look again for the newest kernel.
update:
	@$(asroot) scripts/update

distclean:
	@$(asroot) scripts/distclean

# Make the tables of the documentation that are generated from the source.
doc-tables:
	@scripts/doc-tables

help:
	@sed -n 's/^#: \?//p' Makefile

.PHONY: modules demo demo-fleet check check-debug check-kernel-patches check-ops check-system \
	shell patch livepatch livepatch-corpus triage torture fuzz mutants everything \
	kselftest-upstream selftests bench bench-table rustfmt clippy shellcheck host-tests litmus \
	install programs deb kernel-patches update distclean doc-tables help

#: make            build rust_livepatch.ko and the samples for the newest stock kernel
#: make demo       boot that kernel in QEMU; patch and unpatch it while it runs
#: make demo-fleet boot three machines; publish a level to a canary and then to the others, one of
#:                 which takes it back; print the report
#: make check      run the tests; the last line is the count
#: make check T=x  run that selftest only (T=x,y for several; selftests/TESTS
#:                 lists them)
#: make check IBT=1
#:                 run the selftests that selftests/ibt/TESTS lists on a CPU with IBT, which
#:                 Bochs emulates; T=x: that selftest only
#: make check-debug
#:                 run every selftest on debug kernels, which are built first;
#:                 DEBUG=kasan (or rt, kcsan): on that one only
#: make kselftest-upstream
#:                 run the kernel's own livepatch selftests with in-tree livepatch
#:                 and with this loader; LOADER=intree or LOADER=ours: with one
#: make check-system
#:                 run the tests in a guest with Debian and systemd on a disk;
#:                 T=name[,name...]: only these (selftests/system/TESTS)
#: make check-ops  check the rules and alerts for Prometheus, and the Ansible role, which is
#:                 applied to a copy of a root of Debian
#: make check SECUREBOOT=1
#:                 run the selftests in guests with Secure Boot, with signed modules; T=x: that
#:                 test only. Also for demo, shell, torture and fuzz
#: make modules    the same as make without a target
#: make selftests DESTDIR=d
#:                 put into d everything that selftests/run.sh needs on another machine
#: make patch PATCH=d
#:                 build the patch in that folder for the newest stock kernel, with the
#:                 compilers and the prepared tree of the build root, and compare the prototypes
#:                 of its replacements with the kernel's; ALLOW=f,g: these may differ
#: make livepatch SRCPATCH=fix.patch
#:                 build a live patch from a source patch, or from a series (a folder with
#:                 a file "series"), for the newest stock kernel; NAME=n names the module
#: make triage SRCPATCH=d
#:                 build a live patch from each source patch in that folder, then one live patch
#:                 from all source patches that fit together
#: make livepatch-corpus N=n SEED=s
#:                 draw n functions of that kernel, build a live patch for each, and load all
#:                 of them in a guest
#: make shell      boot that kernel with the loader and three samples, and give a prompt;
#:                 PATCH=d: with the loader alone, and the patch of that folder in /patch
#: make torture MINUTES=n
#:                 change patches under load for n minutes;
#:                 FUZZ_SEED=n: repeat the choices of that seed
#: make everything
#:                 replace many functions of the kernel at once (selftests/everything/)
#: make fuzz MINUTES=n
#:                 random operations and patches for n minutes;
#:                 FUZZ_SEED=n T=x: repeat the test x with the seed n; give it the
#:                 FUZZ_PINS= and FUZZ_KEPT= that it printed with the seed
#: make mutants SEED=n N=n
#:                 draw n changes of the loader's source, and print the test that notices each
#:                 (default: 60 with the seed 1); MUTANT=name: this change alone
#: make bench      measure the loader beside in-tree livepatch (BENCH_QUICK=1: roughly);
#:                 ICOUNT=0 for wall time instead of instructions
#: make bench-table
#:                 put the last results into Documentation/bench.rst
#: make rustfmt, make clippy, make shellcheck, make host-tests, make litmus
#:                 single parts of "make check"
#: make install DESTDIR=d
#:                 install the module, the files that patches are built with, klp-takeover, rlp
#:                 and rlp-build
#: make programs   build rlp and rlp-build alone
#: make deb        build Debian packages of the loader for that kernel, of rlp, and of the files
#:                 that patches are built with, and check them with lintian;
#:                 MAINTAINER='Name <email>' names their maintainer
#:                 KEYRING=file REPOSITORY=uri: also a package for machines that get their levels
#:                 from the repository of that address, which signs with that key
#: make kernel-patches KERNEL=tree DESTDIR=d
#:                 write a series of patches for that kernel tree into d, which makes the loader a
#:                 part of the kernel (default: the source of the newest stock kernel);
#:                 MAINTAINER='Name <email>' signs them off
#: make check-kernel-patches
#:                 build kernels with that series, and run the selftests on them
#: make doc-tables bring the tables in Documentation/ up to date with the source
#: make update     look for a newer kernel in the archive
#: make distclean  remove everything that was made (all of it is in CACHE_DIR)
#:
#: LONG=1          for check: run each test in full, not only a sample of its cases
#:                 (Documentation/testing-long.rst)
#: FAULTS=all      for check and check-debug: the tests fail-nth and alloc-fail* let each allocation
#:                 of each operation fail, not only some of them
#: DEBUG=name      for demo, shell, patch, torture, fuzz and kselftest-upstream too: use that
#:                 debug kernel; check-debug runs nolivepatch only if it is named
#: SLOW=n          tests wait n times as long (default: 1, on debug kernels 4)
#: TCG_THREAD=single
#:                 an emulated machine has one thread of the host for all its processors
#: BENCH_SECTIONS=a,b, BENCH_LOADERS=a,b
#:                 for bench: only these parts (scripts/bench has the list), and only these
#:                 loaders: rlp (this loader), klp (in-tree livepatch) or both
#: KDIR=tree       build for your own prepared kernel tree, with your own compilers.
#:                 Other variables (LLVM=1, V=1) are passed to the kernel's make
#: ARCH=arm64      use Debian's kernels for arm64, which QEMU emulates, in place of those for amd64:
#:                 Documentation/arm64.rst has the targets that work
#: FLAVOUR=f       amd64 (default), cloud-amd64 or rt-amd64; with ARCH=arm64: arm64 (default),
#:                 cloud-arm64, rt-arm64 or arm64-16k
#: KERNEL_RELEASE=r
#:                 use the kernel of this release instead of the newest one. Either it was
#:                 fetched before, or the archive still has it
#: DEBS=d          use the kernel whose packages are in the folder d: linux-headers,
#:                 linux-binary, linux-modules and linux-source
#: SUITE=s         trixie (default; the kernel is that of its backports) or sid
#: CACHE_DIR=d     the folder for everything that is made (default: build); can be shared
#: MIRROR=url      another mirror of the Debian archive, or a snapshot; it gets a build root of
#:                 its own, with the compilers of that time
#: APTOPT=option   for apt in the build root: Acquire::Check-Valid-Until=false
#:                 makes it accept a snapshot
#: ACCEL=a         kvm or tcg; by default kvm if a guest boots with it
#: CPUS=n, MEM=m   the guest's processors and memory (default: 2, 1536M)
#: KERNEL_ARGS=p   more parameters for the guest's kernel
