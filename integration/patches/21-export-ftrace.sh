# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # the variables of scripts/lib/series.sh
for symbol in ftrace_lookup_ip add_ftrace_hash_entry_direct free_ftrace_hash alloc_ftrace_hash \
	ftrace_location_range ftrace_find_rec_direct update_ftrace_direct_add \
	update_ftrace_direct_del; do
	export_symbol kernel/trace/ftrace.c $symbol
done
export_symbol kernel/trace/ftrace.c ftrace_ops_list
# The declaration moves to the other functions of hashes.
edit kernel/trace/trace.h '/^struct ftrace_func_entry \*$/{
	N
	/\nftrace_lookup_ip\(/{ N; d }
}'
edit include/linux/ftrace.h '/^void free_ftrace_hash\(/a\
struct ftrace_func_entry *ftrace_lookup_ip(struct ftrace_hash *hash, unsigned long ip);'
