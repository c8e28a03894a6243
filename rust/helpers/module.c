// SPDX-License-Identifier: GPL-2.0
/* Facts about a module that its Rust type does not tell. */
#include <linux/module.h>

#include "helpers.h"

/* This one stays for ever; false if it is on its way out. Context: any. */
bool rlp_pin_loader(void)
{
	return try_module_get(THIS_MODULE);
}

const char *rlp_module_name(const struct module *mod)
{
	return mod->name;
}

/* Without CONFIG_LIVEPATCH the kernel cannot know: any module may patch. */
bool rlp_module_is_livepatch(const struct module *mod)
{
#ifdef CONFIG_LIVEPATCH
	return is_livepatch_module((struct module *)mod);
#else
	return true;
#endif
}

bool rlp_module_sig_ok(const struct module *mod)
{
#ifdef CONFIG_MODULE_SIG
	return mod->sig_ok;
#else
	return false;
#endif
}

/* Text that stays after init. */
unsigned long rlp_module_text(const struct module *mod, unsigned long *size)
{
	*size = mod->mem[MOD_TEXT].size;
	return (unsigned long)mod->mem[MOD_TEXT].base;
}

bool rlp_module_in_init_text(const struct module *mod, unsigned long addr)
{
	return within_module_mem_type(addr, mod, MOD_INIT_TEXT);
}
