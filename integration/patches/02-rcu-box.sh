# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # the variables of scripts/lib/series.sh
add_to_crate rust/kernel/rcu_box.rs rust/kernel/sync/rcu_box.rs
edit rust/kernel/sync.rs 's/^pub mod rcu;$/&\npub mod rcu_box;/'
maintained_by "READ-COPY UPDATE (RCU)" rust/kernel/sync/rcu_box.rs
