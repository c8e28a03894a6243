#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Each event of a patch is reported: as a uevent, as an audit record, and to the tasks that poll a
# file.
# timeout: 240
# guest: quiet

set -e
. "$(dirname "$0")/operator.sh"

load_loader
load_module rlp_target
watch uevents uevents
if [[ -e /proc/self/loginuid ]]; then
	watch audit audit
else
	untested "audit records: the kernel has no CONFIG_AUDIT"
fi

# expect_event EVENT STATE PATCH: this event must be reported.
expect_event() {
	expect_seen uevents "^uevent $1 $2 $3 [0-9]+$" "${4:-10}"
	[[ ! -e $seen/audit ]] ||
		expect_seen audit "op=livepatch patch=\"$3\" event=$1 state=$2 us=[0-9]+ .*pid=" \
			"${4:-10}"
}

load_patch rlp_patch_a funcs=rlp_target:one_show
expect_event start patching rlp_patch_a
expect_event complete enabled rlp_patch_a
us=$(<$RLP/rlp_patch_a/transition_us)
expect_us complete enabled rlp_patch_a "$us" "$us"
watch transition poll $RLP/rlp_patch_a/transition
watch enabled poll $RLP/rlp_patch_a/enabled
patch_off rlp_patch_a
expect_event start unpatching rlp_patch_a
expect_event complete disabled rlp_patch_a
expect_event leave disabled rlp_patch_a
expect_seen transition '^poll gone$'
expect_seen enabled '^poll gone$'
unload_module rlp_patch_a
expect "$(seen uevents | cut -d' ' -f2,3 | xargs)" \
	"start patching complete enabled start unpatching complete disabled leave disabled" "order"
pass "a patch is enabled, and disabled"

# The patch is not removed while its files are polled. Otherwise the event "leave" would wake their
# readers, and the test would not notice an earlier event that does not wake them.
echo 300 >/sys/module/rust_livepatch/parameters/probation
load_patch rlp_patch_a funcs=rlp_target:one_show=doze
watch stays-confirmed poll $RLP/rlp_patch_a/confirmed
watch stays-transition poll $RLP/rlp_patch_a/transition
watch stays-enabled poll $RLP/rlp_patch_a/enabled
echo 1 >$RLP/rlp_patch_a/confirmed
expect_seen stays-confirmed '^poll 1$'
expect_seen stays-transition '^poll 0$'
expect_seen stays-enabled '^poll 1$'
echo 0 >/sys/module/rust_livepatch/parameters/probation
doze_in rlp_patch_a
echo 0 >$RLP/rlp_patch_a/enabled
expect_seen stays-transition '^poll 1$'
expect_seen stays-enabled '^poll 0$'
echo 1 >$RLP/rlp_patch_a/enabled
wait_settled rlp_patch_a
wait_until "[[ \$(seen stays-transition | tail -n 1) == 'poll 0' ]]" ||
	fail "the end is not seen: $(seen stays-transition)"
wait_until "[[ \$(seen stays-enabled | tail -n 1) == 'poll 1' ]]" ||
	fail "the reversal is not seen: $(seen stays-enabled)"
for file in confirmed transition enabled; do
	! seen stays-$file | grep -q gone || fail "$file is gone"
done
stop_dozing
unload_patch rlp_patch_a
pass "a patch stays, and each change wakes the readers of its files"

fall_asleep
load_module rlp_patch_b funcs=rlp_target:sleep_show
watch moving poll $RLP/rlp_patch_b/transition
expect_event start patching rlp_patch_b
expect_event wait patching rlp_patch_b 30
expect_us wait patching rlp_patch_b 10000000 $((20000000 * ${RLP_SLOW:-1}))
echo 0 >$RLP/rlp_patch_b/enabled
expect_event reverse unpatching rlp_patch_b
expect_seen moving '^poll (1|gone)$'
wait_gone rlp_patch_b
expect_event leave disabled rlp_patch_b
expect "$(seen uevents | grep -c '^uevent wait ')" 1 "number of 'wait' events"
unload_module rlp_patch_b
wake_up
pass "a transition waits, and is reversed"

# This test forces no transition: a forced patch would stay in memory, and so would the loader.
load_patch rlp_patch_a funcs=rlp_target:one_show
load_patch rlp_patch_c funcs=rlp_target:one_show replace=Y
expect_event complete enabled rlp_patch_c
expect_event leave disabled rlp_patch_a
wait_gone rlp_patch_a
unload_module rlp_patch_a
unload_patch rlp_patch_c
pass "a patch is replaced"

load_patch rlp_patch_b funcs=rlp_target:one_show
expect_file $RLP/rlp_patch_b/level 7
expect_file $RLP/rlp_patch_b/cves "CVE-2026-0001 CVE-2026-0002"
unload_patch rlp_patch_b
# This module sets these modinfo fields itself. It does not use RLP_INFO() of the loader's header.
load_patch rlp_patch_c funcs=rlp_target:one_show
expect_file $RLP/rlp_patch_c/level 3
# The CVE numbers of a cumulative patch may need more than a page.
expect_file $RLP/rlp_patch_c/cves "CVE-2026-0003$(printf ' CVE-2026-%d' $(seq 1000 1399))"
unload_patch rlp_patch_c
load_patch rlp_patch_a funcs=rlp_target:one_show
expect_file $RLP/rlp_patch_a/level ""
unload_patch rlp_patch_a
load_patch rust_livepatch_cmdline
expect_file $RLP/rust_livepatch_cmdline/level sample
unload_patch rust_livepatch_cmdline
pass "level and cves are shown, of patches in C and in Rust"

# An audit record has a name in hexadecimal if it cannot be quoted. This module is rlp_patch_a with
# another name of the same length in bytes.
if [[ ${RLP_SECUREBOOT:-} ]]; then
	untested "an audit record of a name that is not ASCII: a renamed module has no valid signature"
elif [[ -e $seen/audit ]]; then
	name=rlp_patché
	LC_ALL=C sed "s/rlp_patch_a/$name/g" "$(module_file rlp_patch_a)" >"$seen/renamed.ko"
	insmod "$seen/renamed.ko" funcs=rlp_target:one_show
	loaded+=("$name")
	expect_seen audit "op=livepatch patch=726c705f7061746368c3a9 event=complete state=enabled "
	wait_settled "$name"
	unload_patch "$name"
	! seen audit | grep -F "patch=\"$name\"" || fail "a name that is not ASCII is quoted"
	pass "an audit record of a patch whose name is not ASCII"
fi
finish
