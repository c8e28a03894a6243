/* SPDX-License-Identifier: GPL-2.0 */
/* Functions of the gate for the other helpers; see gate.c. */
#ifndef _RLP_GATE_H
#define _RLP_GATE_H

#include <linux/module.h>
#include <linux/sched.h>

extern void *rlp_gate_addr_tasklist_lock;
extern void *rlp_gate_addr_ftrace_ops_list;

/* Whether bpf.c watches the functions that attach bpf programs. Its stubs are for x86. */
#if defined(CONFIG_X86_64) && defined(CONFIG_DYNAMIC_FTRACE_WITH_JMP) && \
	defined(CONFIG_BPF_JIT) && defined(CONFIG_BPF_SYSCALL)
#define RLP_WATCHES_BPF
extern void *rlp_gate_addr_bpf_trampoline_link_prog;
extern void *rlp_gate_addr_bpf_trampoline_multi_attach;
#endif

struct cpu_stop_work;
struct ftrace_hash;
struct ftrace_ops;

bool rlp_gate_has_direct(void);
struct ftrace_hash *rlp_alloc_ftrace_hash(int size_bits);
void rlp_free_ftrace_hash(struct ftrace_hash *hash);
void *rlp_add_ftrace_hash_entry_direct(struct ftrace_hash *hash,
				       unsigned long ip, unsigned long direct);
int rlp_update_ftrace_direct_add(struct ftrace_ops *ops, struct ftrace_hash *hash);
int rlp_update_ftrace_direct_del(struct ftrace_ops *ops, struct ftrace_hash *hash);

bool rlp_ftrace_hash_has(struct ftrace_hash *hash, unsigned long ip);
void rlp_stop_one_cpu_nowait(unsigned int cpu, int (*fn)(void *), void *arg,
			     struct cpu_stop_work *work);
int rlp_wake_up_state(struct task_struct *task, unsigned int state);

#ifdef CONFIG_X86
struct insn;

int rlp_x86_insn_decode(struct insn *insn, const void *code, int len);
#endif

#ifdef CONFIG_LIVEPATCH
int rlp_klp_apply_section_relocs(struct module *pmod, struct elf64_shdr *sechdrs,
				 const char *shstrtab, const char *strtab,
				 unsigned int symindex, unsigned int secindex,
				 const char *objname);
void rlp_clear_relocate_add(struct elf64_shdr *sechdrs, const char *strtab,
			    unsigned int symindex, unsigned int relsec,
			    struct module *me);
#endif

#endif /* _RLP_GATE_H */
