#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Patches that were built with an installed loader, outside of this tree, can be loaded and take
# effect: the first patch in the documentation, and a patch in C for in-tree livepatch. The last
# run of scripts/checks/test-install.sh has built them; "make check" runs it before the guest.
# guest: built

set -e
. "$(dirname "$0")/../lib/patches.sh"
[[ -d $RLP_MODULES/installed ]] || skip "scripts/checks/test-install.sh has not been run"
load_loader
remember_state

RLP_MODULES+=/installed
for patch in my_patch livepatch_cmdline_c; do
	check_patch $patch /proc/cmdline "this has been live patched"
done
finish
