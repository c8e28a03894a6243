#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Under Secure Boot, with require_signed=1: patches for modules that are loaded later, patches with
# livepatch relocations, and patches that were taken over from in-tree livepatch. klp-takeover
# removes the signature, so the patch has to be signed again.

set -e
. "$(dirname "$0")/secureboot.sh"
expect_lockdown integrity
greeting=/proc/livepatch_sample/greeting
takeover=/proc/takeover_target

load_module rust_livepatch require_signed=1
remember_state

# The kernel refuses an unsigned target before the patch sees it.
load_patch rust_livepatch_late
RLP_MODULES=$UNSIGNED
new_log
expect_load_fail EKEYREJECTED livepatch_sample_target
expect_log "$no_signature"
! log_has 'applying patch' || fail "the patch was applied to a refused module: $(log)"
expect_file $RLP/rust_livepatch_late/livepatch_sample_target/patched 0
RLP_MODULES=$SIGNED
load_module livepatch_sample_target
expect_file $RLP/rust_livepatch_late/livepatch_sample_target/patched 1
expect_file $greeting "greetings from Rust"
unload_module livepatch_sample_target
expect_file $RLP/rust_livepatch_late/livepatch_sample_target/patched 0
load_module livepatch_sample_target
expect_file $greeting "greetings from Rust"
unload_patch rust_livepatch_late
expect_file $greeting "greetings from the target"
unload_module livepatch_sample_target
expect_unchanged
pass "a module that is loaded later"

[[ -e $(module_file takeover_both) ]] || fail "no patch was taken over: see scripts/guest/stage"
load_takeover takeover_both
load_module takeover_target
expect_file $takeover "patched with the target's secret"
unload_module takeover_target
load_module takeover_target
expect_file $takeover "patched with the target's secret"
unload_patch takeover_patch
expect_file $takeover original
unload_module takeover_target
expect_unchanged
pass "a patch with livepatch relocations"

load_module takeover_target
RLP_MODULES=$UNSIGNED
new_log
expect_load_fail EKEYREJECTED takeover_alone
expect_log "$no_signature"
! is_loaded takeover_patch || fail "the unsigned patch is loaded"
expect_file $takeover original
RLP_MODULES=$SIGNED
load_takeover takeover_alone
expect_file $takeover "patched alone"
unload_patch takeover_patch
expect_file $takeover original
unload_module takeover_target
expect_unchanged
pass "a patch that was taken over, before and after it is signed"
finish
