// SPDX-License-Identifier: GPL-2.0
/*
 * Relocations of a patch module that wait for another module.
 *
 * The kernel keeps the section headers of modules marked livepatch=Y, and applies
 * those relocations that refer to vmlinux; see livepatch/module-elf-format.rst.
 */
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/moduleloader.h>

#include "gate.h"
#include "helpers.h"

#ifdef CONFIG_LIVEPATCH

/* Of the names .klp.rela.OBJECT.SECTION, those with this object. */
static bool is_for(const char *section, const char *object)
{
	size_t len = strlen(object);

	if (!str_has_prefix(section, KLP_RELOC_SEC_PREFIX))
		return false;
	section += strlen(KLP_RELOC_SEC_PREFIX);
	return !strncmp(section, object, len) && section[len] == '.';
}

static int relocate(struct module *patch, unsigned int nr, const char *object, bool apply)
{
	struct klp_modinfo *info = patch->klp_info;
	const char *strtab = patch->core_kallsyms.strtab;
	Elf_Shdr *sec = &info->sechdrs[nr];

	if (!(sec->sh_flags & SHF_RELA_LIVEPATCH) ||
	    !is_for(info->secstrings + sec->sh_name, object))
		return 0;
	if (apply)
		return rlp_klp_apply_section_relocs(patch, info->sechdrs, info->secstrings,
						    strtab, info->symndx, nr, object);
	rlp_clear_relocate_add(info->sechdrs, strtab, info->symndx, nr, patch);
	return 0;
}

/**
 * rlp_module_relocate() - apply or clear what waits for a module
 * @patch: a module marked livepatch=Y, which stays
 * @object: the name of the other module; to apply, it is loaded
 * @apply: false to clear what was applied, so that it can be applied again
 *
 * Context: process context, may sleep.
 * Return: 0, or the error of klp_apply_section_relocs(), which says why in the
 * log; then the sections before are cleared. (Of the section itself nothing was applied, but
 * for -ENOEXEC: there, what comes before the entry that does not fit.)
 */
int rlp_module_relocate(struct module *patch, const char *object, bool apply)
{
	unsigned int nr, end;
	int ret = 0;

	end = patch->klp_info ? patch->klp_info->hdr.e_shnum : 0;
	for (nr = 1; nr < end && !ret; nr++)
		ret = relocate(patch, nr, object, apply);
	if (ret)
		/* Not the last one, which mostly has nothing that could be cleared. */
		for (nr -= 2; nr > 0; nr--)
			relocate(patch, nr, object, false);
	return ret;
}

#else /* !CONFIG_LIVEPATCH: the kernel loads no module that has any */

int rlp_module_relocate(struct module *patch, const char *object, bool apply)
{
	return 0;
}

#endif
