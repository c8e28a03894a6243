// SPDX-License-Identifier: GPL-2.0
/*
 * Calls something through a pointer in its init function:
 *
 * what=exported
 *	hex_to_bin(), whose ENDBR is kept.
 * what=sealed
 *	kallsyms_lookup_name(), which the kernel has sealed at boot, because nothing in the kernel
 *	takes its address. The loader looks up such functions, too, but calls them by static calls.
 *	If the CPU enforces IBT, the call dies of #CP. Otherwise it does no harm.
 * what=panic
 *	The notifiers of a panic, as panic() calls them.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/hex.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/panic_notifier.h>
#include <linux/uaccess.h>
#include <asm/ibt.h>

static char *what = "";
module_param(what, charp, 0444);

#ifdef CONFIG_X86_KERNEL_IBT

/*
 * Returns the start of a sealed function, or NULL if the function is not sealed. At boot, the
 * kernel has replaced the ENDBR of a sealed function by another instruction. The address of a
 * kprobe is behind that instruction.
 */
static void * __init start_of_sealed(const char *name)
{
	struct kprobe probe = {
		.symbol_name = name,
		.flags = KPROBE_FLAG_DISABLED,
	};
	void *start = NULL;
	u32 insn;

	if (register_kprobe(&probe))
		return NULL;
	if (!get_kernel_nofault(insn, (u32 *)((void *)probe.addr - ENDBR_INSN_SIZE)) &&
	    insn == gen_endbr_poison())
		start = (void *)probe.addr - ENDBR_INSN_SIZE;
	unregister_kprobe(&probe);
	return start;
}

#else

static void * __init start_of_sealed(const char *name)
{
	return NULL;
}

#endif

static int __init rlp_pointer_init(void)
{
	unsigned long (*sealed)(const char *name);
	int (*exported)(unsigned char digit) = hex_to_bin;

	/* Hide the function from the compiler, which would call it directly. */
	OPTIMIZER_HIDE_VAR(exported);
	if (!strcmp(what, "exported"))
		return exported('a') == 10 ? 0 : -EIO;
	if (!strcmp(what, "panic")) {
		atomic_notifier_call_chain(&panic_notifier_list, 0, "rlp_pointer");
		return 0;
	}
	if (strcmp(what, "sealed"))
		return -EINVAL;

	sealed = start_of_sealed("kallsyms_lookup_name");
	if (!sealed)
		return -ENOENT;
	pr_info("kallsyms_lookup_name is sealed\n");
	pr_info("the call has returned %lu\n", sealed("no such symbol"));
	return 0;
}

static void __exit rlp_pointer_exit(void)
{
}

module_init(rlp_pointer_init);
module_exit(rlp_pointer_exit);
MODULE_DESCRIPTION("Selftest: calls through a pointer");
MODULE_LICENSE("GPL");
