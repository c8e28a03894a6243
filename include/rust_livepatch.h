/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Live patches in C for rust_livepatch.ko
 *
 * The interface is that of <linux/livepatch.h>: the same structures, and
 * functions of the same names, types and meaning. The names are macros for
 * functions of the loader, because the originals belong to in-tree livepatch.
 * This header and the kernel's may be included in any order.
 *
 * Without CONFIG_LIVEPATCH the kernel's header defines no structures, and they
 * are defined here. Their definitions and their documentation are those of
 * linux/include/linux/livepatch.h.
 */

#ifndef _RUST_LIVEPATCH_H_
#define _RUST_LIVEPATCH_H_

#include <linux/livepatch.h>

/* If the loader is part of the kernel, the kernel's header always has the structures. */
#if !IS_ENABLED(CONFIG_LIVEPATCH) && !IS_ENABLED(CONFIG_RUST_LIVEPATCH)

#include <linux/completion.h>
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/livepatch_external.h>
#include <linux/module.h>
#include <linux/workqueue.h>

struct klp_func {
	/* external */
	const char *old_name;
	void *new_func;
	unsigned long old_sympos;

	/* internal */
	void *old_func;
	struct kobject kobj;
	struct list_head node;
	struct list_head stack_node;
	unsigned long old_size, new_size;
	bool nop;
	bool patched;
	bool transition;
};

struct klp_object {
	/* external */
	const char *name;
	struct klp_func *funcs;
	struct klp_callbacks callbacks;

	/* internal */
	struct kobject kobj;
	struct list_head func_list;
	struct list_head node;
	struct module *mod;
	bool dynamic;
	bool patched;
};

struct klp_state {
	unsigned long id;
	unsigned int version;
	void *data;
};

struct klp_patch {
	/* external */
	struct module *mod;
	struct klp_object *objs;
	struct klp_state *states;
	bool replace;

	/* internal */
	struct list_head list;
	struct kobject kobj;
	struct list_head obj_list;
	bool enabled;
	bool forced;
	struct work_struct free_work;
	struct completion finish;
};

#define klp_for_each_object_static(patch, obj) \
	for (obj = (patch)->objs; obj->funcs || obj->name; obj++)

#define klp_for_each_object_safe(patch, obj, tmp_obj) \
	list_for_each_entry_safe(obj, tmp_obj, &(patch)->obj_list, node)

#define klp_for_each_object(patch, obj)	\
	list_for_each_entry(obj, &(patch)->obj_list, node)

#define klp_for_each_func_static(obj, func) \
	for (func = (obj)->funcs; \
	     func->old_name || func->new_func || func->old_sympos; \
	     func++)

#define klp_for_each_func_safe(obj, func, tmp_func) \
	list_for_each_entry_safe(func, tmp_func, &(obj)->func_list, node)

#define klp_for_each_func(obj, func) \
	list_for_each_entry(func, &(obj)->func_list, node)

typedef int (*klp_shadow_ctor_t)(void *obj, void *shadow_data, void *ctor_data);
typedef void (*klp_shadow_dtor_t)(void *obj, void *shadow_data);

#endif /* !CONFIG_LIVEPATCH && !CONFIG_RUST_LIVEPATCH */

/* See MODULE_INFO() below. */
#if !IS_ENABLED(CONFIG_LIVEPATCH)
#define __RLP_TAG_livepatch 0, rust_livepatch,
#endif

/*
 * MODULE_INFO() is that of the kernel, except for these tags:
 *
 * - livepatch: without CONFIG_LIVEPATCH the kernel refuses modules with this tag. It becomes
 *   rust_livepatch, so that a patch needs no change.
 * - level, cves: the loader shows the text in the patch's directory in sysfs. The kernel frees
 *   .modinfo when it has loaded a module, so the module has the text a second time, as the object
 *   rlp_info_<tag>. A module has at most one text for each of the two tags.
 */
#include <linux/build_bug.h>
#include <linux/moduleparam.h>

#define __RLP_SHOWN_level 0, __RLP_SHOWN,
#define __RLP_SHOWN_cves 0, __RLP_SHOWN,
#define __RLP_SHOWN(tag, info) static const char rlp_info_##tag[] __used = info;
#define __RLP_NOT_SHOWN(tag, info)

/*
 * If "mapped" is a macro for "0, x,", this expands to x. If it is not defined, this expands to
 * "other".
 */
#define __RLP_MAP(mapped, other) __RLP_SECOND(mapped other, other)
#define __RLP_SECOND(_1, _2, ...) _2

#define __RLP_MODULE_INFO(tag, info)			\
	static_assert(sizeof(info) - 1 == __builtin_strlen(info)); \
	static const char __UNIQUE_ID(modinfo)[]	\
		__used __section(".modinfo") __aligned(1) \
		= __MODULE_INFO_PREFIX __stringify(tag) "=" info
#undef MODULE_INFO
#define MODULE_INFO(tag, info) \
	__RLP_MAP(__RLP_SHOWN_##tag, __RLP_NOT_SHOWN)(tag, info) \
	__RLP_MODULE_INFO(__RLP_MAP(__RLP_TAG_##tag, tag), info)

/*
 * RLP_INFO(level, "7") is MODULE_INFO(level, "7"), but does not compile without this header. The
 * kernel's MODULE_INFO() compiles without it, and the loader then shows no text.
 */
#define RLP_INFO(tag, text) MODULE_INFO(tag, text)

#define klp_enable_patch	rlp_enable_patch
#define klp_shadow_get		rlp_shadow_get
#define klp_shadow_alloc	rlp_shadow_alloc
#define klp_shadow_get_or_alloc	rlp_shadow_get_or_alloc
#define klp_shadow_free		rlp_shadow_free
#define klp_shadow_free_all	rlp_shadow_free_all
#define klp_get_state		rlp_get_state
#define klp_get_prev_state	rlp_get_prev_state

int rlp_enable_patch(struct klp_patch *patch);

void *rlp_shadow_get(void *obj, unsigned long id);
void *rlp_shadow_alloc(void *obj, unsigned long id, size_t size, gfp_t gfp_flags,
		       klp_shadow_ctor_t ctor, void *ctor_data);
void *rlp_shadow_get_or_alloc(void *obj, unsigned long id, size_t size,
			      gfp_t gfp_flags, klp_shadow_ctor_t ctor,
			      void *ctor_data);
void rlp_shadow_free(void *obj, unsigned long id, klp_shadow_dtor_t dtor);
void rlp_shadow_free_all(unsigned long id, klp_shadow_dtor_t dtor);

struct klp_state *rlp_get_state(struct klp_patch *patch, unsigned long id);
struct klp_state *rlp_get_prev_state(unsigned long id);

#endif /* _RUST_LIVEPATCH_H_ */
