/* SPDX-License-Identifier: GPL-2.0 */
/* See arch.h. */
#ifndef _RLP_ARCH_ARM64_H
#define _RLP_ARCH_ARM64_H

#include <linux/bitops.h>
#include <linux/uaccess.h>
#include <asm/insn.h>

/*
 * The gate calls functions of the kernel through pointers: without CONFIG_CFI a static call is a
 * pointer on arm64, and with CONFIG_CFI it ends with an indirect branch, too. A CPU with BTI lets
 * such a branch arrive only at a landing pad. Compilers may leave out the landing pad of a function
 * whose address the kernel does not take.
 */
#ifdef CONFIG_ARM64_BTI_KERNEL
#error "the loader does not support arm64 kernels with CONFIG_ARM64_BTI_KERNEL"
#endif

/*
 * The site is the second instruction. With landing pads it would be the third one, at some
 * functions (ftrace_call_adjust() in arch/arm64/kernel/ftrace.c).
 */
#define RLP_ARCH_MAX_SITE_OFFSET AARCH64_INSN_SIZE

/*
 * Each instruction has four bytes. The offset of a branch is a signed number of instructions.
 * Constants in the text are decoded, too: a constant that looks like a branch may add code to what
 * the caller finds, and hides none.
 */
static inline unsigned int rlp_arch_insn_decode(unsigned long addr, unsigned long room,
						unsigned long *target)
{
	__le32 raw;
	s64 offset;
	u32 insn;

	if (!IS_ALIGNED(addr, AARCH64_INSN_SIZE) || room < AARCH64_INSN_SIZE ||
	    get_kernel_nofault(raw, (__le32 *)addr))
		return 0;
	insn = le32_to_cpu(raw);
	if (aarch64_insn_is_b(insn))
		offset = sign_extend64(insn, 25);
	else if (aarch64_insn_is_bcond(insn) || aarch64_insn_is_cbz(insn) ||
		 aarch64_insn_is_cbnz(insn))
		offset = sign_extend64(insn >> 5, 18);
	else if (aarch64_insn_is_tbz(insn) || aarch64_insn_is_tbnz(insn))
		offset = sign_extend64(insn >> 5, 13);
	else
		return AARCH64_INSN_SIZE;
	*target = addr + offset * AARCH64_INSN_SIZE;
	return AARCH64_INSN_SIZE;
}

#endif /* _RLP_ARCH_ARM64_H */
