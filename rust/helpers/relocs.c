// SPDX-License-Identifier: GPL-2.0
/*
 * Relocations of a patch module that refer to another module.
 *
 * For a module that is marked livepatch=Y, the kernel keeps the section headers and
 * applies the relocations that refer to vmlinux; see livepatch/module-elf-format.rst.
 */
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/moduleloader.h>

#include "gate.h"
#include "helpers.h"

#ifdef CONFIG_LIVEPATCH

/* Check whether @section is .klp.rela.OBJECT.SECTION for this object. */
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
 * rlp_module_relocate() - apply or clear the relocations for a module
 * @patch: a module marked livepatch=Y, which stays loaded
 * @object: the name of the other module, which must be loaded for @apply
 * @apply: true to apply the relocations, false to clear them so that they can be applied again
 *
 * If a section fails, the sections before it are cleared. No entry of the failed section was
 * applied, with one exception: if the error is -ENOEXEC, the entries before the entry that
 * failed were applied.
 *
 * Context: process context, may sleep.
 * Return: 0; -EOPNOTSUPP if the kernel lacks klp_apply_section_relocs(); or the error of that
 * function, which logs the reason.
 */
int rlp_module_relocate(struct module *patch, const char *object, bool apply)
{
	unsigned int nr, end;
	int ret = 0;

	end = patch->klp_info ? patch->klp_info->hdr.e_shnum : 0;
	for (nr = 1; nr < end && !ret; nr++)
		ret = relocate(patch, nr, object, apply);
	if (ret)
		/* The failed section is not cleared: in most cases nothing of it was applied. */
		for (nr -= 2; nr > 0; nr--)
			relocate(patch, nr, object, false);
	return ret;
}

#else /* !CONFIG_LIVEPATCH: the kernel loads no module with such relocations */

int rlp_module_relocate(struct module *patch, const char *object, bool apply)
{
	return 0;
}

#endif
