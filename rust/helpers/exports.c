// SPDX-License-Identifier: GPL-2.0
/* The interface for patch modules: exported C functions that call the Rust ones. */
#include <linux/export.h>

#include "exports.h"

int rlp_enable_patch(struct klp_patch *patch)
{
	return rlp_rust_enable_patch(patch);
}
EXPORT_SYMBOL_GPL(rlp_enable_patch);

struct klp_state *rlp_get_state(struct klp_patch *patch, unsigned long id)
{
	return rlp_rust_get_state(patch, id);
}
EXPORT_SYMBOL_GPL(rlp_get_state);

struct klp_state *rlp_get_prev_state(unsigned long id)
{
	return rlp_rust_get_prev_state(id);
}
EXPORT_SYMBOL_GPL(rlp_get_prev_state);

void *rlp_shadow_get(void *obj, unsigned long id)
{
	return rlp_rust_shadow_get(obj, id);
}
EXPORT_SYMBOL_GPL(rlp_shadow_get);

void *rlp_shadow_alloc(void *obj, unsigned long id, size_t size, gfp_t gfp_flags,
		       klp_shadow_ctor_t ctor, void *ctor_data)
{
	return rlp_rust_shadow_alloc(obj, id, size, gfp_flags, ctor, ctor_data);
}
EXPORT_SYMBOL_GPL(rlp_shadow_alloc);

void *rlp_shadow_get_or_alloc(void *obj, unsigned long id, size_t size,
			      gfp_t gfp_flags, klp_shadow_ctor_t ctor,
			      void *ctor_data)
{
	return rlp_rust_shadow_get_or_alloc(obj, id, size, gfp_flags, ctor, ctor_data);
}
EXPORT_SYMBOL_GPL(rlp_shadow_get_or_alloc);

void rlp_shadow_free(void *obj, unsigned long id, klp_shadow_dtor_t dtor)
{
	rlp_rust_shadow_free(obj, id, dtor);
}
EXPORT_SYMBOL_GPL(rlp_shadow_free);

void rlp_shadow_free_all(unsigned long id, klp_shadow_dtor_t dtor)
{
	rlp_rust_shadow_free_all(id, dtor);
}
EXPORT_SYMBOL_GPL(rlp_shadow_free_all);
