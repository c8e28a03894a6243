# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # the variables of scripts/lib/series.sh
add_abi Documentation/ABI/sysfs-kernel-rust-livepatch \
	Documentation/ABI/testing/sysfs-kernel-rust-livepatch
add_guide integration/rust.rst Documentation/livepatch/rust.rst
edit Documentation/livepatch/index.rst '/^    api$/a\
    rust'
maintained Documentation/ABI/testing/sysfs-kernel-rust-livepatch Documentation/livepatch/rust.rst
