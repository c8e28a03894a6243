// SPDX-License-Identifier: GPL-2.0
/* The functions through which the loader calls the symbols of the gate; see gate.c. */
#include "gate.h"
#include "gate_symbols.h"
#include "helpers.h"

int notrace rlp_kallsyms_on_each_match_symbol(int (*fn)(void *, unsigned long),
					      const char *name, void *data)
{
	return rlp_gate_call(kallsyms_on_each_match_symbol)(fn, name, data);
}

int notrace rlp_module_kallsyms_on_each_symbol(const char *modname,
					       int (*fn)(void *, const char *,
							 unsigned long),
					       void *data)
{
	return rlp_gate_call(module_kallsyms_on_each_symbol)(modname, fn, data);
}

int notrace rlp_kallsyms_lookup_size_offset(unsigned long addr,
					    unsigned long *size,
					    unsigned long *offset)
{
	return rlp_gate_call(kallsyms_lookup_size_offset)(addr, size, offset);
}

/*
 * Used instead of ftrace_location(), which walks all symbols of a module to find the end of a
 * function. The caller knows the end.
 */
unsigned long notrace rlp_ftrace_location_range(unsigned long start,
						unsigned long end)
{
	return rlp_gate_call(ftrace_location_range)(start, end);
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
	mod = rlp_gate_call(find_module)(name);
	if (mod)
		*state = READ_ONCE(mod->state);
	return mod;
}

int notrace rlp_stack_walk_reliable(bool (*fn)(void *, unsigned long),
				    void *cookie, struct task_struct *task)
{
	return rlp_gate_call(arch_stack_walk_reliable)(fn, cookie, task);
}

int notrace rlp_task_call_func(struct task_struct *task,
			       int (*fn)(struct task_struct *, void *),
			       void *arg)
{
	return rlp_gate_call(task_call_func)(task, fn, arg);
}

struct task_struct *notrace rlp_idle_task(int cpu)
{
	if (cpu < 0 || cpu >= nr_cpu_ids || !cpu_possible(cpu))
		return NULL;
	return rlp_gate_call(idle_task)(cpu);
}

/* Context: any. The stopper of @cpu is enabled: the CPU is online, and stays so. */
void notrace rlp_stop_one_cpu_nowait(unsigned int cpu, int (*fn)(void *), void *arg,
				     struct cpu_stop_work *work)
{
	rlp_gate_call(stop_one_cpu_nowait)(cpu, fn, arg, work);
}

/* Context: preemption off. Return: false also if the symbol is missing. */
bool notrace rlp_ftrace_hash_has(struct ftrace_hash *hash, unsigned long ip)
{
	return rlp_gate_has(ftrace_lookup_ip) && rlp_gate_call(ftrace_lookup_ip)(hash, ip);
}

/*
 * Check whether the function at a site may have a direct target, such as that of a bpf program.
 * Context: any. The answer may be stale at once. Return: true also if the symbol is missing and
 * the kernel has direct targets.
 */
bool rlp_ftrace_may_have_direct(unsigned long ip)
{
	guard(preempt)();
	if (!rlp_gate_has(ftrace_find_rec_direct))
		return IS_ENABLED(CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS);
	return rlp_gate_call(ftrace_find_rec_direct)(ip);
}

bool rlp_gate_has_direct(void)
{
	return rlp_gate_has(alloc_ftrace_hash) && rlp_gate_has(free_ftrace_hash) &&
	       rlp_gate_has(add_ftrace_hash_entry_direct) &&
	       rlp_gate_has(update_ftrace_direct_add) &&
	       rlp_gate_has(update_ftrace_direct_del);
}

/* The next five functions may only be called if rlp_gate_has_direct() returns true. */
struct ftrace_hash *rlp_alloc_ftrace_hash(int size_bits)
{
	return rlp_gate_call(alloc_ftrace_hash)(size_bits);
}

void rlp_free_ftrace_hash(struct ftrace_hash *hash)
{
	rlp_gate_call(free_ftrace_hash)(hash);
}

void *rlp_add_ftrace_hash_entry_direct(struct ftrace_hash *hash,
				       unsigned long ip, unsigned long direct)
{
	return rlp_gate_call(add_ftrace_hash_entry_direct)(hash, ip, direct);
}

int rlp_update_ftrace_direct_add(struct ftrace_ops *ops, struct ftrace_hash *hash)
{
	return rlp_gate_call(update_ftrace_direct_add)(ops, hash);
}

int rlp_update_ftrace_direct_del(struct ftrace_ops *ops, struct ftrace_hash *hash)
{
	return rlp_gate_call(update_ftrace_direct_del)(ops, hash);
}

/*
 * If the symbol is missing, this wakes no task and returns 0. The caller then kicks the task,
 * unless it is a kthread.
 */
int notrace rlp_wake_up_state(struct task_struct *task, unsigned int state)
{
	if (!rlp_gate_has(wake_up_state))
		return 0;
	return rlp_gate_call(wake_up_state)(task, state);
}

#ifdef CONFIG_X86

/* Return: 0, or a negative number if @code is not an instruction or the symbol is missing. */
int rlp_x86_insn_decode(struct insn *insn, const void *code, int len)
{
	if (!rlp_gate_has(insn_decode))
		return -EOPNOTSUPP;
	return rlp_gate_call(insn_decode)(insn, code, len, INSN_MODE_KERN);
}

#endif

#ifdef CONFIG_LIVEPATCH

int rlp_klp_apply_section_relocs(struct module *pmod, Elf_Shdr *sechdrs,
				 const char *shstrtab, const char *strtab,
				 unsigned int symindex, unsigned int secindex,
				 const char *objname)
{
	if (!rlp_gate_has(klp_apply_section_relocs))
		return -EOPNOTSUPP;
	return rlp_gate_call(klp_apply_section_relocs)(pmod, sechdrs, shstrtab, strtab,
						       symindex, secindex, objname);
}

void rlp_clear_relocate_add(Elf_Shdr *sechdrs, const char *strtab,
			    unsigned int symindex, unsigned int relsec,
			    struct module *me)
{
	if (rlp_gate_has(clear_relocate_add))
		rlp_gate_call(clear_relocate_add)(sechdrs, strtab, symindex, relsec, me);
}

#endif
