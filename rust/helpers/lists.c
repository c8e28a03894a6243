// SPDX-License-Identifier: GPL-2.0
/*
 * The lists in the structures of a patch, for the author's code: the macros
 * klp_for_each_object() and klp_for_each_func() walk them. The loader itself reads the
 * arrays.
 */
#include <rust_livepatch.h>

#include "helpers.h"

/**
 * rlp_klp_make_lists() - put a patch's objects and functions on its lists
 * @patch: a patch whose arrays are terminated, and do not change
 *
 * The order is that of the arrays. The former contents of the lists are ignored.
 *
 * Context: any. No other code uses the lists of this patch.
 */
void rlp_klp_make_lists(struct klp_patch *patch)
{
	struct klp_object *obj;
	struct klp_func *func;

	INIT_LIST_HEAD(&patch->obj_list);
	klp_for_each_object_static(patch, obj) {
		list_add_tail(&obj->node, &patch->obj_list);
		INIT_LIST_HEAD(&obj->func_list);
		klp_for_each_func_static(obj, func)
			list_add_tail(&func->node, &obj->func_list);
	}
}

/**
 * rlp_klp_empty_lists() - empty all lists of a patch
 * @patch: as for rlp_klp_make_lists(), which need not have been called
 *
 * Context: any. No other code uses the lists of this patch.
 */
void rlp_klp_empty_lists(struct klp_patch *patch)
{
	struct klp_object *obj;
	struct klp_func *func;

	INIT_LIST_HEAD(&patch->obj_list);
	klp_for_each_object_static(patch, obj) {
		INIT_LIST_HEAD(&obj->node);
		INIT_LIST_HEAD(&obj->func_list);
		klp_for_each_func_static(obj, func)
			INIT_LIST_HEAD(&func->node);
	}
}
