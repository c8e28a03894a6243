/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The symbols of the gate, and how they are called; see gate.c.
 *
 * In a kernel tree integration/loader/gate_symbols.h takes the place of this file: the symbols are
 * exported to the loader there, and are called directly.
 */
#ifndef _RLP_GATE_SYMBOLS_H
#define _RLP_GATE_SYMBOLS_H

#include <linux/kallsyms.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/moduleloader.h>
#include <linux/sched/signal.h>
#include <linux/stacktrace.h>
#include <linux/static_call.h>
#include <linux/stop_machine.h>
#include <linux/wait.h>
#ifdef CONFIG_X86
#include <asm/insn.h>
#endif

#include "gate.h"

/* Declared in kernel/trace/trace.h, which modules cannot include. */
struct ftrace_func_entry *ftrace_lookup_ip(struct ftrace_hash *hash, unsigned long ip);

#define RLP_FEW_JUMPS "only a few functions are promoted to jumps, one at a time"

#ifdef CONFIG_LIVEPATCH
#define RLP_GATE_RELOCATIONS(X)						\
	X(klp_apply_section_relocs, "patches with relocations for modules are refused") \
	X(clear_relocate_add, "a module that a patch has relocations for can be loaded only once")
#else
#define RLP_GATE_RELOCATIONS(X)
#endif

#ifdef CONFIG_X86
#define RLP_GATE_INSN(X)						\
	X(insn_decode, "a task may be switched in a function to which a replacement jumps (a tail call)")
#else
#define RLP_GATE_INSN(X)
#endif

/* X(symbol, what is lost without it; NULL: the loader refuses to load) */
#define RLP_GATE_REQUIRED(X)						\
	X(kallsyms_lookup_name, NULL)					\
	X(kallsyms_on_each_match_symbol, NULL)				\
	X(module_kallsyms_on_each_symbol, NULL)				\
	X(kallsyms_lookup_size_offset, NULL)				\
	X(ftrace_location_range, NULL)					\
	X(find_module, NULL)						\
	X(arch_stack_walk_reliable, NULL)				\
	X(task_call_func, NULL)						\
	X(idle_task, NULL)						\
	X(stop_one_cpu_nowait, NULL)

#define RLP_GATE_OPTIONAL(X)						\
	X(alloc_ftrace_hash, RLP_FEW_JUMPS)				\
	X(free_ftrace_hash, RLP_FEW_JUMPS)				\
	X(add_ftrace_hash_entry_direct, RLP_FEW_JUMPS)			\
	X(update_ftrace_direct_add, RLP_FEW_JUMPS)			\
	X(update_ftrace_direct_del, RLP_FEW_JUMPS)			\
	X(ftrace_find_rec_direct, "each patch gets its own ftrace_ops, because bpf programs cannot be detected") \
	X(ftrace_lookup_ip, "the log does not name the other user of a busy function")	\
	X(wake_up_state, "sleeping tasks that block a transition are not woken") \
	RLP_GATE_INSN(X)						\
	RLP_GATE_RELOCATIONS(X)

#define RLP_GATE_FUNCTIONS(X)						\
	RLP_GATE_REQUIRED(X)						\
	RLP_GATE_OPTIONAL(X)

#ifdef RLP_WATCHES_BPF
#define RLP_NO_BPF "bpf programs cannot be attached to a function that jumps"

#define RLP_GATE_BPF(X)							\
	X(bpf_trampoline_link_prog, RLP_NO_BPF)				\
	X(bpf_trampoline_multi_attach, RLP_NO_BPF)
#else
#define RLP_GATE_BPF(X)
#endif

#define RLP_GATE_DATA(X)						\
	X(tasklist_lock, NULL)						\
	X(ftrace_ops_list, "the log does not name the other user of a busy function") \
	RLP_GATE_BPF(X)

/*
 * Each static call has the type of its symbol. An optional one is NULL until the symbol is found:
 * callers check that with rlp_gate_has().
 */
#define RLP_GATE_DECLARE(sym, lost)	DECLARE_STATIC_CALL(rlp_gate_##sym, sym);
RLP_GATE_FUNCTIONS(RLP_GATE_DECLARE)

#define rlp_gate_has(sym)	(!!static_call_query(rlp_gate_##sym))
#define rlp_gate_call(sym)	static_call(rlp_gate_##sym)

#endif /* _RLP_GATE_SYMBOLS_H */
