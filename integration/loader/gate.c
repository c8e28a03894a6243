// SPDX-License-Identifier: GPL-2.0
/*
 * The gate of the loader outside of a kernel tree looks up symbols that are not exported. Here
 * each symbol is exported to the loader, so the gate has no entry, and is always open.
 */
#include <linux/bpf.h>

#include "gate.h"
#include "gate_symbols.h"
#include "helpers.h"

void *rlp_gate_addr_tasklist_lock = &tasklist_lock;
void *rlp_gate_addr_ftrace_ops_list = (void *)&ftrace_ops_list;
#ifdef RLP_WATCHES_BPF
void *rlp_gate_addr_bpf_trampoline_link_prog = bpf_trampoline_link_prog;
void *rlp_gate_addr_bpf_trampoline_multi_attach = bpf_trampoline_multi_attach;
#endif

int rlp_gate_open(void)
{
	return 0;
}

const struct rlp_gate_symbol *rlp_gate_symbol(unsigned int nr)
{
	return NULL;
}
