/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The differences between the architectures in the modules of the tests:
 *
 * RLP_ASM_ODD(name, target)
 *	Define a function that jumps to the function "target", and begins where a compiler may put a
 *	function that it considers cold: at an odd address, if the architecture has instructions at
 *	odd addresses. The instruction in front of it must not be executed.
 * RLP_ASM_BARE(name, target)
 *	The same at an aligned address, without a landing pad for indirect branches.
 * rlp_return_address(regs)
 *	The address to which a function returns. The registers are those at its first instruction.
 * rlp_return(regs)
 *	Let the function return at once.
 */
#ifndef _RLP_SELFTESTS_ARCH_H
#define _RLP_SELFTESTS_ARCH_H

#include <linux/ptrace.h>

#ifdef CONFIG_X86

#include <linux/objtool.h>
#include <asm/ibt.h>

#define RLP_ASM_ODD(name, target)					\
	asm(".pushsection .text\n"					\
	    ".balign 16, 0xcc\n"					\
	    "int3\n"							\
	    ".type " #name ", @function\n"				\
	    #name ":\n"							\
	    ASM_ENDBR							\
	    "jmp " #target "\n"						\
	    ".size " #name ", . - " #name "\n"				\
	    ".popsection\n")

#define RLP_ASM_BARE(name, target)					\
	asm(".pushsection .text\n"					\
	    ".balign 16, 0xcc\n"					\
	    ".type " #name ", @function\n"				\
	    #name ":\n"							\
	    ANNOTATE_NOENDBR "\n"					\
	    "jmp " #target "\n"						\
	    ".size " #name ", . - " #name "\n"				\
	    ".popsection\n")

static inline unsigned long rlp_return_address(struct pt_regs *regs)
{
	return *(unsigned long *)regs->sp;
}

static inline void rlp_return(struct pt_regs *regs)
{
	regs->ip = *(unsigned long *)regs->sp;
	regs->sp += sizeof(long);
}

#else /* arm64 */

#define RLP_ASM_ODD(name, target)					\
	asm(".pushsection .text\n"					\
	    "brk #1\n"							\
	    ".type " #name ", @function\n"				\
	    #name ":\n"							\
	    "b " #target "\n"						\
	    ".size " #name ", . - " #name "\n"				\
	    ".popsection\n")

#define RLP_ASM_BARE(name, target)	RLP_ASM_ODD(name, target)

static inline unsigned long rlp_return_address(struct pt_regs *regs)
{
	return procedure_link_pointer(regs);
}

static inline void rlp_return(struct pt_regs *regs)
{
	instruction_pointer_set(regs, procedure_link_pointer(regs));
}

#endif

#endif /* _RLP_SELFTESTS_ARCH_H */
