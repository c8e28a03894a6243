// SPDX-License-Identifier: GPL-2.0
/* Members of struct module that the Rust wrapper needs. */
#include <linux/kallsyms.h>
#include <linux/module.h>

#include "helpers.h"

/* Keep the loader loaded for ever. Return: false if it is being unloaded. Context: any. */
bool rlp_pin_loader(void)
{
	return try_module_get(THIS_MODULE);
}

/*
 * Get a reference to the kobject of a module. free_module() waits until the last reference is put,
 * before it changes or frees anything that running code of the module needs (mod_kobject_put() in
 * kernel/module/sysfs.c). Context: any.
 *
 * Return: false if the module has no kobject. If load_module() fails before it calls the module's
 * init, the module has no kobject when the notifiers are called.
 */
bool rlp_module_kobject_get(struct module *mod)
{
	return kobject_get_unless_zero(&mod->mkobj.kobj);
}

/* Context: process context, may sleep. The module may be freed when this returns. */
void rlp_module_kobject_put(struct module *mod)
{
	kobject_put(&mod->mkobj.kobj);
}

const char *rlp_module_name(const struct module *mod)
{
	return mod->name;
}

/* Without CONFIG_LIVEPATCH modules are not marked: any module may be a patch. */
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

/*
 * Check that the module's init has succeeded and that the module is not being unloaded.
 * Context: any. The answer may be stale at once.
 */
bool rlp_module_is_live(const struct module *mod)
{
	return READ_ONCE(mod->state) == MODULE_STATE_LIVE;
}

/* Return: the start of the text that is not freed after init; @size: its size. */
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

/**
 * rlp_module_lacks_sites() - check whether ftrace has no records of a module
 * @mod: a module that is being loaded
 *
 * If ftrace has no memory for the records of a module, it only logs that, and the module
 * loads (ftrace_module_init() in kernel/trace/ftrace.c). Its functions cannot be hooked then.
 *
 * Context: any.
 * Return: true if @mod has fentry sites, and none of them has a record in ftrace.
 */
bool rlp_module_lacks_sites(const struct module *mod)
{
	return mod->num_ftrace_callsites && !has_site(&mod->mem[MOD_TEXT]) &&
	       !has_site(&mod->mem[MOD_INIT_TEXT]);
}

/**
 * rlp_module_is_init_text() - check whether an address is in a module's init text
 * @name: the name of the module
 * @addr: the address
 *
 * A module is not freed within an RCU read-side critical section (free_module() in
 * kernel/module/main.c).
 *
 * Context: any.
 * Return: true if a module @name is live or being loaded, and @addr is in its text that is
 * freed after init.
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

/* Check the constants in rust/kernel/module.rs and kallsyms.rs. */
static_assert(MODULE_NAME_LEN == 64 - sizeof(unsigned long));
static_assert(KSYM_NAME_LEN == 512);
static_assert(KSYM_NAME_LEN + 192 >= KSYM_SYMBOL_LEN);
