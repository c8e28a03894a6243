#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The running kernel has every option that its fragments request. Kconfig silently drops an
# option whose dependencies are not met.

set -e
. "$(dirname "$0")/../lib/common.sh"
here=$(dirname "$0")
[[ -e /proc/config.gz ]] || fail "the kernel does not show its configuration: CONFIG_IKCONFIG_PROC"

running=$(mktemp)
busybox zcat /proc/config.gz >"$running"
missing=$("$here/config-options" "$RLP_DEBUG" "$running")
requested=$("$here/config-options" "$RLP_DEBUG" | wc -l)
rm "$running"
[[ ! $missing ]] || fail "missing in the running kernel: ${missing//$'\n'/, }"
((requested > 50)) || fail "only $requested options are requested"
echo "# the kernel has all $requested requested options"
