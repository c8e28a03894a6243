/* SPDX-License-Identifier: GPL-2.0 */
/* The symbols that are exported to the loader. gate_calls.c calls them directly. */
#ifndef _RLP_GATE_SYMBOLS_H
#define _RLP_GATE_SYMBOLS_H

#include <linux/kallsyms.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/moduleloader.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/stacktrace.h>
#include <linux/stop_machine.h>
#include <linux/wait.h>
#include <asm/insn.h>

#include "gate.h"

#define rlp_gate_call(sym)	sym

/* Kconfig options leave out some of the functions of ftrace, and in-tree livepatch. */
#define rlp_gate_has(sym)	RLP_HAS_##sym
#define RLP_HAS_insn_decode			true
#define RLP_HAS_wake_up_state			true
#define RLP_HAS_ftrace_lookup_ip		true
#define RLP_HAS_alloc_ftrace_hash		true
#define RLP_HAS_free_ftrace_hash		true
#define RLP_HAS_add_ftrace_hash_entry_direct	true
#define RLP_HAS_ftrace_find_rec_direct		RLP_HAS_DIRECT
#define RLP_HAS_update_ftrace_direct_add	RLP_HAS_DIRECT
#define RLP_HAS_update_ftrace_direct_del	RLP_HAS_DIRECT
#define RLP_HAS_DIRECT		IS_ENABLED(CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS)
#define RLP_HAS_klp_apply_section_relocs	IS_ENABLED(CONFIG_LIVEPATCH)
#define RLP_HAS_clear_relocate_add		IS_ENABLED(CONFIG_LIVEPATCH)

#endif /* _RLP_GATE_SYMBOLS_H */
