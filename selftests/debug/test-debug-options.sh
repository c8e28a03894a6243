#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The kernel that runs has each option that was asked for: Kconfig drops silently what it
# cannot have.

set -e
. "$(dirname "$0")/../lib.sh"
here=$(dirname "$0")
[[ -e /proc/config.gz ]] || fail "the kernel does not tell its options: CONFIG_IKCONFIG_PROC"

running=$(mktemp)
busybox zcat /proc/config.gz >"$running"
missing=$("$here/options" "$RLP_DEBUG" "$running")
asked=$("$here/options" "$RLP_DEBUG" | wc -l)
rm "$running"
[[ ! $missing ]] || fail "not in the kernel that runs: ${missing//$'\n'/, }"
((asked > 50)) || fail "only $asked options are asked for"
echo "# all of $asked options that were asked for"
