// SPDX-License-Identifier: GPL-2.0
/*
 * The layout of the structures for the loader in C; abi_rust.rs has the layout
 * in Rust.
 */

#include <linux/stddef.h>
#include <rust_livepatch.h>

extern const size_t RLP_ABI[];

const size_t RLP_ABI[] __section(".rodata.rlp_abi") = {
	sizeof(struct klp_func),
	offsetof(struct klp_func, old_name),
	offsetof(struct klp_func, new_func),
	offsetof(struct klp_func, old_sympos),
	sizeof(struct klp_callbacks),
	offsetof(struct klp_callbacks, pre_patch),
	offsetof(struct klp_callbacks, post_patch),
	offsetof(struct klp_callbacks, pre_unpatch),
	offsetof(struct klp_callbacks, post_unpatch),
	offsetof(struct klp_callbacks, post_unpatch_enabled),
	sizeof(struct klp_object),
	offsetof(struct klp_object, name),
	offsetof(struct klp_object, funcs),
	offsetof(struct klp_object, callbacks),
	sizeof(struct klp_state),
	offsetof(struct klp_state, id),
	offsetof(struct klp_state, version),
	offsetof(struct klp_state, data),
	sizeof(struct klp_patch),
	offsetof(struct klp_patch, mod),
	offsetof(struct klp_patch, objs),
	offsetof(struct klp_patch, states),
	offsetof(struct klp_patch, replace),
};
