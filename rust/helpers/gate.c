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
 * ENDBR.
 *
 * If a kernel exports a symbol, the module loader resolves the weak reference to
 * it, and the symbol is not looked up.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/livepatch.h>
#include <linux/moduleloader.h>
#include <linux/sched/signal.h>
#include <linux/stacktrace.h>
#include <linux/static_call.h>
#include <linux/stop_machine.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#ifdef CONFIG_X86
#include <asm/insn.h>
#endif

#include "gate.h"
#include "helpers.h"

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

/* NULL until the symbol is found: callers check with static_call_query(). */
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
	if (rlp_param_without(entry->symbol.name))
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

int notrace rlp_kallsyms_on_each_match_symbol(int (*fn)(void *, unsigned long),
					      const char *name, void *data)
{
	return static_call(rlp_gate_kallsyms_on_each_match_symbol)(fn, name, data);
}

int notrace rlp_module_kallsyms_on_each_symbol(const char *modname,
					       int (*fn)(void *, const char *,
							 unsigned long),
					       void *data)
{
	return static_call(rlp_gate_module_kallsyms_on_each_symbol)(modname, fn, data);
}

int notrace rlp_kallsyms_lookup_size_offset(unsigned long addr,
					    unsigned long *size,
					    unsigned long *offset)
{
	return static_call(rlp_gate_kallsyms_lookup_size_offset)(addr, size, offset);
}

/*
 * Used instead of ftrace_location(), which walks all symbols of a module to find the end of a
 * function. The caller knows the end.
 */
unsigned long notrace rlp_ftrace_location_range(unsigned long start,
						unsigned long end)
{
	return static_call(rlp_gate_ftrace_location_range)(start, end);
}

/*
 * The module may be freed when this returns; @state is its state at the time of the lookup.
 * READ_ONCE() pairs with the plain stores in kernel/module/main.c. It needs no acquire: this reads
 * no data that those stores publish.
 */
struct module *notrace rlp_find_module(const char *name, enum module_state *state)
{
	struct module *mod;

	guard(rcu)();
	mod = static_call(rlp_gate_find_module)(name);
	if (mod)
		*state = READ_ONCE(mod->state);
	return mod;
}

int notrace rlp_stack_walk_reliable(bool (*fn)(void *, unsigned long),
				    void *cookie, struct task_struct *task)
{
	return static_call(rlp_gate_arch_stack_walk_reliable)(fn, cookie, task);
}

int notrace rlp_task_call_func(struct task_struct *task,
			       int (*fn)(struct task_struct *, void *),
			       void *arg)
{
	return static_call(rlp_gate_task_call_func)(task, fn, arg);
}

struct task_struct *notrace rlp_idle_task(int cpu)
{
	if (cpu < 0 || cpu >= nr_cpu_ids || !cpu_possible(cpu))
		return NULL;
	return static_call(rlp_gate_idle_task)(cpu);
}

/* Context: any. The stopper of @cpu is enabled: the CPU is online, and stays so. */
void notrace rlp_stop_one_cpu_nowait(unsigned int cpu, int (*fn)(void *), void *arg,
				     struct cpu_stop_work *work)
{
	static_call(rlp_gate_stop_one_cpu_nowait)(cpu, fn, arg, work);
}

/* Context: preemption off. Return: false also if the symbol is missing. */
bool notrace rlp_ftrace_hash_has(struct ftrace_hash *hash, unsigned long ip)
{
	return static_call_query(rlp_gate_ftrace_lookup_ip) &&
	       static_call(rlp_gate_ftrace_lookup_ip)(hash, ip);
}

/*
 * Check whether the function at a site may have a direct target, such as that of a bpf program.
 * Context: any. The answer may be stale at once. Return: true also if the symbol is missing and
 * the kernel has direct targets.
 */
bool rlp_ftrace_may_have_direct(unsigned long ip)
{
	guard(preempt)();
	if (!static_call_query(rlp_gate_ftrace_find_rec_direct))
		return IS_ENABLED(CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS);
	return static_call(rlp_gate_ftrace_find_rec_direct)(ip);
}

bool rlp_gate_has_direct(void)
{
	return static_call_query(rlp_gate_alloc_ftrace_hash) &&
	       static_call_query(rlp_gate_free_ftrace_hash) &&
	       static_call_query(rlp_gate_add_ftrace_hash_entry_direct) &&
	       static_call_query(rlp_gate_update_ftrace_direct_add) &&
	       static_call_query(rlp_gate_update_ftrace_direct_del);
}

/* The next five functions may only be called if rlp_gate_has_direct() returns true. */
struct ftrace_hash *rlp_alloc_ftrace_hash(int size_bits)
{
	return static_call(rlp_gate_alloc_ftrace_hash)(size_bits);
}

void rlp_free_ftrace_hash(struct ftrace_hash *hash)
{
	static_call(rlp_gate_free_ftrace_hash)(hash);
}

void *rlp_add_ftrace_hash_entry_direct(struct ftrace_hash *hash,
				       unsigned long ip, unsigned long direct)
{
	return static_call(rlp_gate_add_ftrace_hash_entry_direct)(hash, ip, direct);
}

int rlp_update_ftrace_direct_add(struct ftrace_ops *ops, struct ftrace_hash *hash)
{
	return static_call(rlp_gate_update_ftrace_direct_add)(ops, hash);
}

int rlp_update_ftrace_direct_del(struct ftrace_ops *ops, struct ftrace_hash *hash)
{
	return static_call(rlp_gate_update_ftrace_direct_del)(ops, hash);
}

/*
 * If the symbol is missing, this wakes no task and returns 0. The caller then kicks the task,
 * unless it is a kthread.
 */
int notrace rlp_wake_up_state(struct task_struct *task, unsigned int state)
{
	if (!static_call_query(rlp_gate_wake_up_state))
		return 0;
	return static_call(rlp_gate_wake_up_state)(task, state);
}

#ifdef CONFIG_X86

/* Return: 0, or a negative number if @code is not an instruction or the symbol is missing. */
int rlp_x86_insn_decode(struct insn *insn, const void *code, int len)
{
	if (!static_call_query(rlp_gate_insn_decode))
		return -ENOSYS;
	return static_call(rlp_gate_insn_decode)(insn, code, len, INSN_MODE_KERN);
}

#endif

#ifdef CONFIG_LIVEPATCH

int rlp_klp_apply_section_relocs(struct module *pmod, Elf_Shdr *sechdrs,
				 const char *shstrtab, const char *strtab,
				 unsigned int symindex, unsigned int secindex,
				 const char *objname)
{
	if (!static_call_query(rlp_gate_klp_apply_section_relocs))
		return -ENOSYS;
	return static_call(rlp_gate_klp_apply_section_relocs)(pmod, sechdrs, shstrtab, strtab,
							      symindex, secindex, objname);
}

void rlp_clear_relocate_add(Elf_Shdr *sechdrs, const char *strtab,
			    unsigned int symindex, unsigned int relsec,
			    struct module *me)
{
	if (static_call_query(rlp_gate_clear_relocate_add))
		static_call(rlp_gate_clear_relocate_add)(sechdrs, strtab, symindex, relsec, me);
}

#endif
