// SPDX-License-Identifier: GPL-2.0
/* Facts about a module that its Rust type does not tell. */
#include <linux/kallsyms.h>
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

/* Its init has succeeded, and nobody removes it. Context: any; stale at once. */
bool rlp_module_is_live(const struct module *mod)
{
	return READ_ONCE(mod->state) == MODULE_STATE_LIVE;
}

/* Text that stays after init. */
unsigned long rlp_module_text(const struct module *mod, unsigned long *size)
{
	*size = mod->mem[MOD_TEXT].size;
	return (unsigned long)mod->mem[MOD_TEXT].base;
}

static bool has_site(const struct module_memory *mem)
{
	unsigned long base = (unsigned long)mem->base;

	return mem->size && rlp_ftrace_location_range(base, base + mem->size - 1);
}

/* Does ftrace know none of the functions of @mod, which comes and has some for it? It had no memory
 * for them, which it tells nobody but the log (ftrace_module_init() in kernel/trace/ftrace.c).
 * Context: any.
 */
bool rlp_module_lacks_sites(const struct module *mod)
{
	return mod->num_ftrace_callsites && !has_site(&mod->mem[MOD_TEXT]) &&
	       !has_site(&mod->mem[MOD_INIT_TEXT]);
}

/* Is there a module @name that lives or comes, and @addr in its text that is freed after init?
 * No module is freed within a read side (free_module() in kernel/module/main.c). Context: any.
 */
bool rlp_module_is_init_text(const char *name, unsigned long addr)
{
	enum module_state state;
	struct module *mod;

	guard(rcu)();
	mod = rlp_find_module(name, &state);
	return mod && (state == MODULE_STATE_LIVE || state == MODULE_STATE_COMING) &&
	       within_module_mem_type(addr, mod, MOD_INIT_TEXT);
}

/* What rust/kernel/module.rs and kallsyms.rs take for granted. */
static_assert(MODULE_NAME_LEN == 64 - sizeof(unsigned long));
static_assert(KSYM_NAME_LEN == 512);
static_assert(KSYM_SYMBOL_LEN <= KSYM_NAME_LEN + 192);
