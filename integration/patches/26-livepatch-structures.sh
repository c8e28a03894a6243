# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # the variables of scripts/lib/series.sh
edit include/linux/livepatch.h '/^#if IS_ENABLED\(CONFIG_LIVEPATCH\)$/{
	N
	d
}
/^typedef int \(\*klp_shadow_ctor_t\)/,/^typedef void \(\*klp_shadow_dtor_t\)/d
/^int klp_enable_patch\(/i\
typedef int (*klp_shadow_ctor_t)(void *obj,\
				 void *shadow_data,\
				 void *ctor_data);\
typedef void (*klp_shadow_dtor_t)(void *obj, void *shadow_data);\
\
#if IS_ENABLED(CONFIG_LIVEPATCH)\
'
