// SPDX-License-Identifier: GPL-2.0
/*
 * reread FILE: for each line on the standard input, print the file from its beginning. All reads
 * use one file descriptor, which a shell cannot do.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char buf[4096];
	ssize_t len;
	int fd, c;

	if (argc != 2)
		return 2;
	fd = open(argv[1], O_RDONLY);
	if (fd < 0) {
		perror(argv[1]);
		return 1;
	}
	while ((c = getchar()) != EOF) {
		if (c != '\n')
			continue;
		if (lseek(fd, 0, SEEK_SET) < 0)
			return 1;
		while ((len = read(fd, buf, sizeof(buf))) > 0)
			if (write(STDOUT_FILENO, buf, len) != len)
				return 1;
	}
	return 0;
}
