// SPDX-License-Identifier: GPL-2.0
/* Decoding instructions of the kernel. */
#include <linux/uaccess.h>
#ifdef CONFIG_X86
#include <asm/insn.h>
#endif

#include "gate.h"
#include "helpers.h"

/**
 * rlp_insn_decode() - decode an instruction
 * @addr: the address of the instruction, which may be any address
 * @room: the number of bytes from @addr that belong to the code
 * @target: set to the target if the instruction is a direct jmp or jcc, or else to 0
 *
 * Context: any.
 * Return: the length of the instruction, or 0 if it cannot be decoded.
 */
unsigned int rlp_insn_decode(unsigned long addr, unsigned long room, unsigned long *target)
{
#ifdef CONFIG_X86
	u8 code[MAX_INSN_SIZE], opcode;
	struct insn insn;
	bool is_jump;

	*target = 0;
	room = min(room, sizeof(code));
	if (copy_from_kernel_nofault(code, (void *)addr, room) ||
	    rlp_x86_insn_decode(&insn, code, room))
		return 0;
	opcode = insn.opcode.bytes[0];
	if (opcode == 0x0f)	/* jcc rel32 */
		is_jump = (insn.opcode.bytes[1] & 0xf0) == 0x80;
	else			/* jcc rel8, jmp rel32, jmp rel8 */
		is_jump = (opcode & 0xf0) == 0x70 || opcode == 0xe9 || opcode == 0xeb;
	if (is_jump)
		*target = addr + insn.length + insn.immediate.value;
	return insn.length;
#else
	*target = 0;
	return 0;
#endif
}
