/* SPDX-License-Identifier: GPL-2.0 */
/* See arch.h. */
#ifndef _RLP_ARCH_X86_H
#define _RLP_ARCH_X86_H

#include <linux/ftrace.h>
#include <linux/uaccess.h>
#include <asm/insn.h>

#include "gate.h"

/* The site is at the first instruction, or behind the landing pad for indirect branches. */
#define RLP_ARCH_MAX_SITE_OFFSET FTRACE_MCOUNT_MAX_OFFSET

static inline unsigned int rlp_arch_insn_decode(unsigned long addr, unsigned long room,
						unsigned long *target)
{
	u8 code[MAX_INSN_SIZE], opcode;
	struct insn insn;
	bool is_jump;

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
}

#endif /* _RLP_ARCH_X86_H */
