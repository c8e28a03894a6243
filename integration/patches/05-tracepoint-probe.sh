# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # the variables of scripts/lib/series.sh
add_to_crate rust/kernel/tracepoint_probe.rs rust/kernel/tracepoint_probe.rs
add integration/wrappers/tracepoint.c rust/helpers/tracepoint.c
edit rust/helpers/helpers.c 's/^#include "time.c"$/&\n#include "tracepoint.c"/'
edit rust/kernel/lib.rs 's/^pub mod tracepoint;$/&\n#[cfg(CONFIG_TRACEPOINTS)]\npub mod tracepoint_probe;/'
maintained_by "TRACING [RUST]" rust/helpers/tracepoint.c
maintained_by "TRACING [RUST]" rust/kernel/tracepoint_probe.rs
