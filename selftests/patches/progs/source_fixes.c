// SPDX-License-Identifier: GPL-2.0
/*
 * The system calls that the fixes of scripts/checks/test-livepatch.sh change.
 *
 * source_fixes calls: make each call, and print its error number, or the value that it returns.
 * source_fixes length: set an extended attribute of 5000 bytes. The exit status is the error
 * number.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/random.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/xattr.h>
#include <unistd.h>

static int open_or_exit(int fd, const char *what)
{
	if (fd < 0) {
		perror(what);
		exit(1);
	}
	return fd;
}

/* A negative number of random bits. */
static int error(void)
{
	int fd = open_or_exit(open("/dev/random", O_RDWR), "/dev/random"), bits = -1;

	return ioctl(fd, RNDADDTOENTCNT, &bits) ? errno : 0;
}

/* A member of an address that the kernel has to set. */
static int initialisation(void)
{
	int fd = open_or_exit(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), "netlink");
	struct sockaddr_nl addr;
	socklen_t len = sizeof(addr);

	memset(&addr, 0xff, sizeof(addr));
	return getsockname(fd, (struct sockaddr *)&addr, &len) ? -errno : addr.nl_pad;
}

/* Lock memory of a process that has locked memory already. */
static int race(void)
{
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int result = 0;

	if (pages == MAP_FAILED || mlock(pages, 4096))
		return -errno;
	if (mlock(pages + 4096, 4096))
		result = errno;
	munlock(pages, 8192);
	return result;
}

/* A number that does not fit into the member that stores it. */
static int width(void)
{
	int fd = open_or_exit(socket(AF_INET, SOCK_DGRAM, 0), "inet"), tos = 0x110;

	return setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof(tos)) ? errno : 0;
}

/* A length that user space gives. */
static int length(void)
{
	static char value[5000];
	char path[] = "/tmp/source_fixes.XXXXXX";
	int result;

	open_or_exit(mkstemp(path), path);
	result = setxattr(path, "user.source_fixes", value, sizeof(value), 0) ? errno : 0;
	unlink(path);
	return result;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "length"))
		return length();
	printf("error %d initialisation %d race %d width %d\n", error(), initialisation(), race(),
	       width());
	return 0;
}
