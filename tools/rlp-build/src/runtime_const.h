/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Stands in for asm/runtime-const.h when the code of a live patch is compiled.
 *
 * The kernel writes these constants into its own text at boot, but not into the text of a module.
 * Each constant is made from a variable. A patch cannot read the variable instead, because the
 * running kernel may not have the variable any more. So the patch reads each constant from a place
 * in the kernel's text where the kernel has written it. rlp-build turns the names below into
 * relocations to such places.
 */
#define _ASM_RUNTIME_CONST_H

#define runtime_const_ptr(sym) ({				\
	extern const char __rlp_ptr_##sym[];			\
	*(typeof(sym) *)__rlp_ptr_##sym;			\
})

#define runtime_const_shift_right_32(val, sym) ({		\
	extern const unsigned char __rlp_shift_##sym;		\
	(u32)(val) >> __rlp_shift_##sym;			\
})

#define runtime_const_mask_32(val, sym) ({			\
	extern const unsigned int __rlp_mask_##sym;		\
	(u32)(val) & __rlp_mask_##sym;				\
})

#define runtime_const_init(type, sym) do { } while (0)
