// SPDX-License-Identifier: GPL-2.0
/*
 * Access to the machine: functions that read and write files, and that load and unload modules.
 * Their result is an errno or 0.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "files.h"
#include "model.h"

#define PATCH "rlp_patch_a"	/* the last letter is replaced by the slot's letter */

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
static int first_letter;	/* an earlier run may have pinned modules with earlier letters */

char letter(int slot)
{
	return letters[first_letter + slot];
}

double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

const char *read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;

	if (fd >= 0) {
		n = read(fd, text, size - 1);
		if (n < 0) {
			int e = errno;

			close(fd);
			errno = e;
		} else {
			close(fd);
		}
	}
	if (n < 0)
		return strcpy(text, strerrorname_np(errno));
	while (n && text[n - 1] == '\n')
		n--;
	text[n] = '\0';
	return text;
}

int write_bytes(const char *path, const char *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return errno;
	if (write(fd, text, len) < 0)
		ret = errno;
	close(fd);
	return ret;
}

int write_file(const char *path, const char *text)
{
	return write_bytes(path, text, strlen(text));
}

char *slot_file(int slot, const char *file)
{
	static char path[256];

	snprintf(path, sizeof(path), RLP "/rlp_patch_%c/%s", letter(slot), file);
	return path;
}

char *module_file(int slot, const char *file)
{
	static char path[256];

	snprintf(path, sizeof(path), "/sys/module/rlp_patch_%c/%s", letter(slot), file);
	return path;
}

char *func_file(int slot, const struct func *f, const char *file)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/%s,%d/%s", objects[f->object], f->name, f->position,
		 file);
	return slot_file(slot, path);
}

char *list_patches(void)
{
	static char text[256];
	bool there[128] = {};
	DIR *dir = opendir(RLP);
	struct dirent *entry;
	char *end = text;

	if (!dir)
		return strcpy(text, "none");
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		if (strlen(entry->d_name) == strlen(PATCH) &&
		    !strncmp(entry->d_name, PATCH, strlen(PATCH) - 1))
			there[entry->d_name[strlen(PATCH) - 1] & 127] = true;
		else
			*end++ = '!';
	}
	closedir(dir);
	for (int i = 0; letters[i]; i++)
		if (there[(int)letters[i]])
			*end++ = letters[i];
	*end = '\0';
	return text;
}

struct image {
	char *bytes;
	size_t len;
};

static struct image patch_image, target_images[NR_TARGETS], loader_image;

bool loader_is_built_in(void)
{
	return !access("/sys/module/rust_livepatch", F_OK) &&
	       access("/sys/module/rust_livepatch/refcnt", F_OK);
}

static struct image read_image(const char *name)
{
	const char *folder = getenv("RLP_MODULES");
	struct image image = {};
	struct stat st;
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s.ko", folder ? folder : "/modules", name);
	fd = open(path, O_RDONLY);
	if (fd < 0 || fstat(fd, &st)) {
		perror(path);
		exit(2);
	}
	image.bytes = malloc(st.st_size);
	while (image.len < (size_t)st.st_size) {
		ssize_t n = read(fd, image.bytes + image.len, st.st_size - image.len);

		if (n <= 0) {
			perror(path);
			exit(2);
		}
		image.len += n;
	}
	close(fd);
	return image;
}

void read_images(void)
{
	patch_image = read_image(PATCH);
	if (!loader_is_built_in())
		loader_image = read_image("rust_livepatch");
	for (int i = 0; i < NR_TARGETS; i++)
		target_images[i] = read_image(objects[i]);
}

static int load_image(const struct image *image, const char *params)
{
	return syscall(SYS_init_module, image->bytes, image->len, params) ? errno : 0;
}

/* All slots use the same image: the module's name in it gets the slot's letter. */
int load_slot(int slot, const char *params)
{
	size_t len = strlen(PATCH);
	char *at = patch_image.bytes, *end = at + patch_image.len;

	while ((at = memmem(at, end - at, PATCH, len - 1))) {
		at[len - 1] = letter(slot);
		at += len;
	}
	return load_image(&patch_image, params);
}

int load_object(enum target target, const char *params)
{
	return load_image(&target_images[target], params);
}

int load_loader(void)
{
	return load_image(&loader_image, "");
}

int unload(const char *name)
{
	return syscall(SYS_delete_module, name, O_NONBLOCK) ? errno : 0;
}

int unload_slot(int slot)
{
	char name[] = PATCH;

	name[sizeof(name) - 2] = letter(slot);
	return unload(name);
}

bool find_loader(void)
{
	char text[32];
	int free = 0;

	for (int i = 0; letters[i]; i++)
		if (!access(module_file(i, ""), F_OK))
			free = i + 1;
	first_letter = free;
	if (letters + first_letter + NR_SLOTS > strchr(letters, '\0')) {
		fprintf(stderr, "fuzz_ops: too many modules are pinned\n");
		exit(2);
	}
	if (loader_is_built_in())
		return true;
	if (unload("rust_livepatch") != EAGAIN)
		return false;
	nr_pinned_before = atoi(read_file("/sys/module/rust_livepatch/refcnt", text, sizeof(text)));
	return true;
}
