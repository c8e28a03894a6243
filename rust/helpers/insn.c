// SPDX-License-Identifier: GPL-2.0
/* Decoding instructions of the kernel. */
#include "arch.h"
#include "helpers.h"

/**
 * rlp_insn_decode() - decode an instruction
 * @addr: the address of the instruction, which may be any address
 * @room: the number of bytes from @addr that belong to the code
 * @target: set to the target if the instruction is a direct jump, or else to 0
 *
 * A direct jump is a branch to a fixed target that is not a call. It may be conditional.
 *
 * Context: any.
 * Return: the length of the instruction, or 0 if it cannot be decoded.
 */
unsigned int rlp_insn_decode(unsigned long addr, unsigned long room, unsigned long *target)
{
	*target = 0;
	return rlp_arch_insn_decode(addr, room, target);
}
