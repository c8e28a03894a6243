/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Live patches in C for the loader in Rust
 *
 * The interface is that of <linux/livepatch.h>: the same structures, and
 * functions of the same names, types and meaning. The names are macros for
 * functions of this loader, because the originals belong to LIVEPATCH.
 *
 * If the kernel has LIVEPATCH, a patch needs MODULE_INFO(livepatch, "Y").
 */

#ifndef _RUST_LIVEPATCH_H_
#define _RUST_LIVEPATCH_H_

#include <linux/livepatch.h>
#include <linux/moduleparam.h>

/*
 * RLP_INFO(level, "7") and RLP_INFO(cves, "CVE-... CVE-...") are texts that the loader shows in the
 * patch's directory in sysfs. The kernel frees .modinfo when it has loaded a module, so the module
 * has the text a second time.
 */
#define RLP_INFO(tag, ...)						\
	MODULE_INFO(tag, __VA_ARGS__);					\
	static const struct {						\
		char text[sizeof(__VA_ARGS__)];				\
	} rlp_info_##tag __used = { __VA_ARGS__ }

