// SPDX-License-Identifier: GPL-2.0
/*
 * Wait for events of patches, in one of the ways that the loader offers, and print a line for
 * each. The program runs until it is killed.
 *
 *	watch_patches uevents	 print "uevent EVENT STATE PATCH US" for each uevent of the
 *				 loader
 *	watch_patches audit	 switch auditing on, and print each record of type 1316
 *	watch_patches poll FILE	 print "poll VALUE" for each wake-up of the file, and "poll
 *				 gone" when the file cannot be read any more
 *
 * A first line "ready" means that no event is missed from then on.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int open_netlink(int protocol, unsigned int groups)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = groups };
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, protocol);

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
		err(1, "netlink");
	return fd;
}

/* Returns the value of a variable in a uevent: strings that are separated by null bytes. */
static const char *variable(const char *text, size_t len, const char *name)
{
	const char *end = text + len;

	for (; text < end; text += strlen(text) + 1) {
		if (!strncmp(text, name, strlen(name)) && text[strlen(name)] == '=')
			return text + strlen(name) + 1;
	}
	return "-";
}

static void watch_uevents(void)
{
	int fd = open_netlink(NETLINK_KOBJECT_UEVENT, 1);
	char buf[8192];
	ssize_t len;

	puts("ready");
	while ((len = recv(fd, buf, sizeof(buf) - 1, 0)) > 0) {
		buf[len] = '\0';
		if (strcmp(variable(buf, len, "SUBSYSTEM"), "rust_livepatch"))
			continue;
		printf("uevent %s %s %s %s\n", variable(buf, len, "EVENT"),
		       variable(buf, len, "STATE"), variable(buf, len, "PATCH"),
		       variable(buf, len, "US"));
	}
	err(1, "recv");
}

static void watch_audit(void)
{
	struct {
		struct nlmsghdr head;
		struct audit_status status;
	} request = {
		.head = {
			.nlmsg_len = sizeof(request),
			.nlmsg_type = AUDIT_SET,
			.nlmsg_flags = NLM_F_REQUEST,
		},
		.status = { .mask = AUDIT_STATUS_ENABLED, .enabled = 1 },
	};
	int control = open_netlink(NETLINK_AUDIT, 0);
	int fd = open_netlink(NETLINK_AUDIT, AUDIT_NLGRP_READLOG);
	union {
		struct nlmsghdr head;
		char bytes[16384];
	} message;
	ssize_t len;

	if (send(control, &request, sizeof(request), 0) < 0)
		err(1, "audit");
	puts("ready");
	while ((len = recv(fd, &message, sizeof(message) - 1, 0)) > 0) {
		message.bytes[len] = '\0';
		if (message.head.nlmsg_type == AUDIT_KERNEL_OTHER)
			printf("audit %s\n", (char *)NLMSG_DATA(&message.head));
	}
	err(1, "recv");
}

static void watch_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct pollfd wait = { .fd = fd, .events = POLLPRI };
	char buf[64];
	ssize_t len;

	if (fd < 0)
		err(1, "%s", path);
	for (int first = 1;; first = 0) {
		len = pread(fd, buf, sizeof(buf) - 1, 0);
		if (first) {
			puts("ready");
		} else if (len < 0) {
			puts("poll gone");
			return;
		} else {
			buf[len] = '\0';
			printf("poll %s", buf);
		}
		if (poll(&wait, 1, -1) < 0)
			err(1, "poll");
	}
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2 && !strcmp(argv[1], "uevents"))
		watch_uevents();
	else if (argc == 2 && !strcmp(argv[1], "audit"))
		watch_audit();
	else if (argc == 3 && !strcmp(argv[1], "poll"))
		watch_file(argv[2]);
	else
		errx(2, "unknown arguments");
	return 0;
}
