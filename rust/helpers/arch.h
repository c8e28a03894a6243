/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The differences between the architectures. Each has a header of its own, which defines
 *
 * unsigned int rlp_arch_insn_decode(unsigned long addr, unsigned long room, unsigned long *target)
 *	as rlp_insn_decode() in insn.c.
 *
 * RLP_ARCH_MAX_SITE_OFFSET
 *	the greatest distance of a function's fentry site from the start of the function, in bytes.
 *
 * The header also refuses, with #error, kernels of its architecture on which the gate cannot work.
 */
#ifndef _RLP_ARCH_H
#define _RLP_ARCH_H

#if defined(CONFIG_X86_64)
#include "arch_x86.h"
#elif defined(CONFIG_ARM64)
#include "arch_arm64.h"
#else
#error "the loader supports only x86-64 and arm64"
#endif

#endif /* _RLP_ARCH_H */
