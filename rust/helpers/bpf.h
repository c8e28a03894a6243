/* SPDX-License-Identifier: GPL-2.0 */
/* The stubs in assembly in bpf.c, and the functions that only they call. */
#ifndef _RLP_BPF_H
#define _RLP_BPF_H

struct bpf_trampoline;

void rlp_stub_link(void);
void rlp_stub_multi_attach(void);
void rlp_before_link(void *node, const struct bpf_trampoline *trampoline);
void rlp_before_multi_attach(void);

#endif /* _RLP_BPF_H */
