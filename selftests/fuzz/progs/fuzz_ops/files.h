/* SPDX-License-Identifier: GPL-2.0 */
/* The machine's files and modules. */
#ifndef _FUZZ_OPS_FILES_H
#define _FUZZ_OPS_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "model.h"

#define RLP "/sys/kernel/rust_livepatch"

double now(void);		/* in seconds */
#define REST_TIMEOUT 40		/* in seconds: how long the loader may take to be at rest */

/* Stores the file's text without newlines at the end, or the errno's name, and returns it. */
const char *read_file(const char *path, char *text, size_t size);

/* These return an errno or 0. */
int write_file(const char *path, const char *text);
int write_bytes(const char *path, const char *text, size_t len);

/* Paths. A path is valid until the next call of any of these functions. */
char *slot_file(int slot, const char *file);
char *func_file(int slot, const struct func *f, const char *file);
char *module_file(int slot, const char *file);

/* The last letter of the name of the slot's module. */
char letter(int slot);

/* The letters of all patches in the loader's directory, and a "!" for each unknown name. */
char *list_patches(void);

/* Modules. read_images() reads the files of all modules that are loaded later. */
void read_images(void);
int load_slot(int slot, const char *params);
int load_object(enum target target, const char *params);
int load_loader(void);
int unload(const char *name);
int unload_slot(int slot);

/* Whether the loader is no module, and so is never loaded, unloaded or referred to. */
bool loader_is_built_in(void);

/*
 * Finds the modules that were pinned earlier. Returns true if the loader is loaded and cannot be
 * unloaded; it unloads the loader otherwise.
 */
bool find_loader(void);

#endif /* _FUZZ_OPS_FILES_H */
