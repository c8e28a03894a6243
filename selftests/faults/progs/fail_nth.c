// SPDX-License-Identifier: GPL-2.0
/*
 * Do one operation, and let its N-th allocation fail. The kernel needs fault injection for this,
 * see its Documentation/fault-injection/fault-injection.rst. If N is 0, no allocation fails.
 *
 *   fail_nth N load FILE [PARAMETER=VALUE]...
 *   fail_nth N unload MODULE
 *   fail_nth N write FILE TEXT
 *
 * Prints the name of the operation's errno, or 0. Then prints the number of allocations, or
 * "injected" if the N-th allocation failed, because their number is not known then. The exit
 * status does not depend on the operation's result: it is 2 if the program could not do the
 * operation at all, else 0.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fail_nth = -1;

static void die(const char *what)
{
	fprintf(stderr, "fail_nth: %s: %s\n", what, strerror(errno));
	exit(2);
}

static int open_or_die(const char *file, int flags)
{
	int fd = open(file, flags | O_CLOEXEC);

	if (fd < 0)
		die(file);
	return fd;
}

static void arm(const char *n)
{
	if (!strcmp(n, "0"))
		return;
	fail_nth = open_or_die("/proc/thread-self/fail-nth", O_RDWR);
	if (write(fail_nth, n, strlen(n)) < 0)
		die(n);
}

/*
 * Returns the part of N that is left to count, or 0 if the failure was injected into the
 * operation or if N is 0. Returns 1 if the failure was injected into the read of this number.
 */
static int disarm(void)
{
	char left[16] = "";
	int ret = 1;

	if (fail_nth < 0)
		return 0;
	if (pread(fail_nth, left, sizeof(left) - 1, 0) > 0)
		ret = atoi(left);
	/* The rest of the count must not make a later allocation fail. */
	while (write(fail_nth, "0", 1) < 0)
		;
	return ret;
}

/* Joins the words to one string with a blank after each, as finit_module() expects parameters. */
static char *join(char **words)
{
	size_t size = 1;
	char *text, *end;
	int i;

	for (i = 0; words[i]; i++)
		size += strlen(words[i]) + 1;
	text = end = malloc(size);
	if (!text)
		die("malloc");
	*end = 0;
	for (i = 0; words[i]; i++)
		end += sprintf(end, "%s ", words[i]);
	return text;
}

int main(int argc, char **argv)
{
	const char *n, *what, *name, *text;
	int fd = -1, error, left;
	long ret;

	if (argc < 4)
		return 2;
	n = argv[1];
	what = argv[2];
	name = argv[3];
	text = join(argv + 4);
	if (!strcmp(what, "load"))
		fd = open_or_die(name, O_RDONLY);
	else if (!strcmp(what, "write"))
		fd = open_or_die(name, O_WRONLY);
	else if (strcmp(what, "unload"))
		return 2;

	arm(n);
	if (!strcmp(what, "load"))
		ret = syscall(SYS_finit_module, fd, text, 0);
	else if (!strcmp(what, "write"))
		ret = write(fd, text, strlen(text));
	else
		ret = syscall(SYS_delete_module, name, O_NONBLOCK);
	error = ret < 0 ? errno : 0;
	left = disarm();

	printf("%s ", error ? strerrorname_np(error) : "0");
	if (left || fail_nth < 0)
		printf("%d\n", atoi(n) - left);
	else
		printf("injected\n");
	return 0;
}
