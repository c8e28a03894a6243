/* SPDX-License-Identifier: GPL-2.0 */
/* The functions in Rust that exports.c calls. */
#ifndef _RLP_EXPORTS_H
#define _RLP_EXPORTS_H

#include "rust_livepatch.h"

int rlp_rust_enable_patch(struct klp_patch *patch);
struct klp_state *rlp_rust_get_state(struct klp_patch *patch, unsigned long id);
struct klp_state *rlp_rust_get_prev_state(unsigned long id);
void *rlp_rust_shadow_get(void *obj, unsigned long id);
void *rlp_rust_shadow_alloc(void *obj, unsigned long id, size_t size, gfp_t gfp_flags,
			    klp_shadow_ctor_t ctor, void *ctor_data);
void *rlp_rust_shadow_get_or_alloc(void *obj, unsigned long id, size_t size,
				   gfp_t gfp_flags, klp_shadow_ctor_t ctor,
				   void *ctor_data);
void rlp_rust_shadow_free(void *obj, unsigned long id, klp_shadow_dtor_t dtor);
void rlp_rust_shadow_free_all(unsigned long id, klp_shadow_dtor_t dtor);

#endif /* _RLP_EXPORTS_H */
