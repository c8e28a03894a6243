/* SPDX-License-Identifier: GPL-2.0 */
/* The machine's files and modules. */
#ifndef _FUZZ_OPS_FILES_H
#define _FUZZ_OPS_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "model.h"

#define RLP "/sys/kernel/rust_livepatch"

double now(void);	/* in seconds */
#define PATIENCE 40		/* seconds until all must have come to rest */

/* Its text without newlines at the end, or the name of the errno. */
const char *get(const char *path, char *text, size_t size);
int put(const char *path, const char *text);
int put_bytes(const char *path, const char *text, size_t len);

/* Paths, good until the next call. */
char *slot_file(int slot, const char *file);
char *func_file(int slot, const struct func *f, const char *file);
char *module_file(int slot, const char *file);

/* The last letter of the name that the slot's module has. */
char letter(int slot);

/* The letters of the patches in the directory, and a "!" for what is none. */
char *list_patches(void);

/* Modules: what is loaded later is read at the beginning. */
void read_images(void);
int load_slot(int slot, const char *params);
int load_object(enum target target, const char *params);
int load_loader(void);
int unload(const char *name);
int unload_slot(int slot);

/* What is there already: whether the loader is, and cannot be unloaded. */
bool look_round(void);

#endif /* _FUZZ_OPS_FILES_H */
