// SPDX-License-Identifier: GPL-2.0
/*
 * The gate: functions that vmlinux has but does not export.
 *
 * A kprobe on kallsyms_lookup_name() finds the address of that function, which
 * then finds the other symbols.
 *
 * No function of the gate is called through a pointer. With IBT, objtool seals
 * functions whose address the kernel never takes: an indirect call to such a
 * function is a #CP. A static call is patched into a direct call, which needs no
 * ENDBR. (Where the architecture has no static calls, they are pointers: see arch_arm64.h.)
 *
 * If a kernel exports a symbol, the module loader resolves the weak reference to
 * it, and the symbol is not looked up.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/glob.h>
#include <linux/kprobes.h>
#include <linux/moduleparam.h>
#include <linux/uaccess.h>

#include "arch.h"
#include "gate.h"
#include "gate_symbols.h"
#include "helpers.h"

static char *without = "";
module_param(without, charp, 0444);
MODULE_PARM_DESC(without,
		 "Do not use the kernel symbols that match this pattern (default: none)");

/* Only the addresses of these are needed. Their users in other files cast them. */
#define DEFINE_DATA(sym, lost)						\
	void *rlp_gate_addr_##sym __ro_after_init;
RLP_GATE_DATA(DEFINE_DATA)

/*
 * The targets of the required static calls until the gate is open. With these targets
 * nothing is found, and no stack is reliable: a call that is too early returns an error.
 */
static unsigned long closed_kallsyms_lookup_name(const char *name)
{
	return 0;
}

static int closed_kallsyms_on_each_match_symbol(int (*fn)(void *, unsigned long),
						const char *name, void *data)
{
	return -ENOENT;
}

static int closed_module_kallsyms_on_each_symbol(const char *modname,
						 int (*fn)(void *, const char *,
							   unsigned long),
						 void *data)
{
	return -ENOENT;
}

static int closed_kallsyms_lookup_size_offset(unsigned long addr,
					      unsigned long *size,
					      unsigned long *offset)
{
	return 0;
}

static unsigned long closed_ftrace_location_range(unsigned long start,
						  unsigned long end)
{
	return 0;
}

static struct module *closed_find_module(const char *name)
{
	return NULL;
}

static int closed_arch_stack_walk_reliable(stack_trace_consume_fn fn, void *cookie,
					   struct task_struct *task)
{
	return -ENOENT;
}

static int closed_task_call_func(struct task_struct *task, task_call_f fn, void *arg)
{
	return -ENOENT;
}

static struct task_struct *closed_idle_task(int cpu)
{
	return NULL;
}

/* void, or bool on older kernels. */
typedef typeof(stop_one_cpu_nowait(0, NULL, NULL, NULL)) stop_result_t;

static stop_result_t closed_stop_one_cpu_nowait(unsigned int cpu, cpu_stop_fn_t fn, void *arg,
						struct cpu_stop_work *work)
{
	return (stop_result_t)0;
}

/* The static call has the type of the closed function, which must be that of the symbol. */
#define DEFINE_REQUIRED(sym, lost)					\
	extern typeof(sym) sym __weak;					\
	static_assert(__same_type(closed_##sym, sym));			\
	DEFINE_STATIC_CALL(rlp_gate_##sym, closed_##sym);
RLP_GATE_REQUIRED(DEFINE_REQUIRED)

#define DEFINE_OPTIONAL(sym, lost)					\
	extern typeof(sym) sym __weak;					\
	DEFINE_STATIC_CALL_NULL(rlp_gate_##sym, sym);
RLP_GATE_OPTIONAL(DEFINE_OPTIONAL)

struct rlp_gate_entry {
	struct rlp_gate_symbol symbol;
	void *exported;			/* resolved by the module loader */
	struct static_call_key *key;	/* a function ... */
	void *tramp;
	void **address;			/* ... or data */
};

#define CALL_ENTRY(sym, lost) {						\
	.symbol = { .name = #sym, .without = lost },			\
	.exported = &sym,						\
	.key = &STATIC_CALL_KEY(rlp_gate_##sym),			\
	.tramp = STATIC_CALL_TRAMP_ADDR(rlp_gate_##sym),		\
},
#define DATA_ENTRY(sym, lost) {						\
	.symbol = { .name = #sym, .without = lost },			\
	.address = &rlp_gate_addr_##sym,				\
},

static struct rlp_gate_entry entries[] = {
	RLP_GATE_FUNCTIONS(CALL_ENTRY)
	RLP_GATE_DATA(DATA_ENTRY)
};

static void set_address(struct rlp_gate_entry *entry, void *addr)
{
	if (glob_match(without, entry->symbol.name))
		return;
	if (entry->key)
		__static_call_update(entry->key, entry->tramp, addr);
	else
		*entry->address = addr;
	entry->symbol.found = true;
}

/*
 * With IBT the address of a kprobe is that of the instruction after the ENDBR. A direct call
 * must go to the start of the function: the kernel looks for padding in front of the target
 * of a call (patch_dest() in arch/x86/kernel/callthunks.c).
 */
static void *entry_of(void *addr)
{
#ifdef CONFIG_X86_KERNEL_IBT
	u32 insn;

	if (!get_kernel_nofault(insn, (u32 *)(addr - ENDBR_INSN_SIZE)) && __is_endbr(insn))
		addr -= ENDBR_INSN_SIZE;
#endif
	return addr;
}

/*
 * The first entry, kallsyms_lookup_name(), finds all entries. It finds itself again, too: the
 * symbol has the address of the start of the function, even if entry_of() has not recognized
 * the ENDBR.
 *
 * The kprobe is never armed. Disarming a kprobe needs memory, and a kprobe that could not be
 * disarmed stays on the kernel's list after it was freed.
 */
static int open_kallsyms(void)
{
	struct kprobe probe = {
		.symbol_name = "kallsyms_lookup_name",
		.flags = KPROBE_FLAG_DISABLED,
	};
	int ret;

	if (entries[0].exported) {
		set_address(&entries[0], entries[0].exported);
		return 0;
	}
	ret = register_kprobe(&probe);
	if (ret)
		return ret;
	set_address(&entries[0], entry_of(probe.addr));
	unregister_kprobe(&probe);
	return 0;
}

/**
 * rlp_gate_open() - look up every symbol of the gate
 *
 * A missing symbol is not an error here: the caller checks each with rlp_gate_symbol().
 *
 * Context: process context, may sleep. Called once.
 * Return: 0, or the error of register_kprobe().
 */
int rlp_gate_open(void)
{
	int ret = open_kallsyms();

	if (ret)
		return ret;
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
		void *addr = entries[i].exported;

		if (!addr && entries[0].symbol.found)
			addr = (void *)static_call(rlp_gate_kallsyms_lookup_name)(
				entries[i].symbol.name);
		if (addr)
			set_address(&entries[i], addr);
	}
	return 0;
}

/**
 * rlp_gate_symbol() - get an entry of the gate
 * @nr: the number of the entry, from 0
 *
 * Return: the symbol and whether it was found, or NULL after the last entry.
 */
const struct rlp_gate_symbol *rlp_gate_symbol(unsigned int nr)
{
	return nr < ARRAY_SIZE(entries) ? &entries[nr].symbol : NULL;
}
