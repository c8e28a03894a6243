#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The debug kernel reports bugs, and the runner detects the reports. For each checker of the
# kernel, a module contains a bug that the checker must find, and the test that loads the
# module must fail. This test runs in a guest of its own because lockdep turns itself off
# after its first report. The bugs for lockdep are first because a report of KASAN turns
# lockdep off, too (mm/kasan/report.c, end_report()).
# expect-log: .
# timeout: 300

set -e
. "$(dirname "$0")/../lib/patches.sh"
runner=$(realpath "$(dirname "$0")/../run.sh")
work=$(mktemp -d)
options=$(busybox zcat /proc/config.gz)

# catches OPTION BUG PATTERN: if the kernel has CONFIG_OPTION, load the module with BUG in an
# inner run of the runner. That run must fail, and its output must match PATTERN.
catches() {
	local option=$1 bug=$2 pattern=$3 output file=$work/test-inner.sh

	grep -qx "CONFIG_$option=y" <<<"$options" || return 0
	printf '#!/bin/bash\n%s\n' \
		"insmod '$(module_file rlp_bug)' what=$bug && rmmod rlp_bug" >"$file"
	# A run that is marked as inner does not scan for leaks, because a scan takes long. For the
	# bug "leak" RLP_INNER is empty, so that this run does scan.
	if output=$(RLP_INNER=${bug#leak} RLP_TIMEOUT=60 RLP_AFTER='' bash "$runner" \
		"$file" 2>&1); then
		fail "$bug: the runner reported success"
	fi
	if ! grep -qE "$pattern" <<<"$output"; then
		sed 's/^/#     /' <<<"$output"
		fail "$bug: the run failed, but its output does not match '$pattern'"
	fi
	pass "$option: $bug"
}

catches PROVE_RCU no-read-side 'suspicious RCU usage'
catches PROVE_LOCKING lock-order 'possible circular locking dependency'
catches KASAN use-after-free 'KASAN: slab-use-after-free in read_byte'
catches KASAN beyond-the-end 'KASAN: slab-out-of-bounds in read_byte'
catches KASAN_VMALLOC beyond-vmalloc 'KASAN: vmalloc-out-of-bounds in read_byte'
catches DEBUG_ATOMIC_SLEEP sleep-in-atomic 'BUG: sleeping function called from invalid context'
catches DEBUG_LIST bad-list 'list_add double add'
catches DEBUG_OBJECTS_TIMERS freed-timer 'ODEBUG: free active'
catches UBSAN_SHIFT bad-shift 'UBSAN: shift-out-of-bounds'
catches DEBUG_KMEMLEAK leak 'not ok [0-9]+ kmemleak'
[[ ! -e /sys/kernel/debug/kmemleak ]] || echo clear >/sys/kernel/debug/kmemleak
catches KCSAN race 'KCSAN: data-race in (count_up|bug_init|race)'
((passed > 3)) || fail "the kernel has only $passed checkers"
rm -r "$work"
finish
