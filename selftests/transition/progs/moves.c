// SPDX-License-Identifier: GPL-2.0
/*
 * Processes for the tests of the transition:
 *
 *   moves put FILE TEXT [NAME]	write TEXT once, as a process of this name; print an error
 *   moves hammer N SEED	N processes call the pair of moves_target for ever
 *   moves forks N		N processes fork children for ever; each child calls the pair once
 *   moves execs N		as forks, but each child calls the pair before and after an exec
 *   moves threads N		N processes make threads for ever; each thread calls the pair
 *				once
 *   moves crowd N		make N children; at the end of the input they all exit at once and
 *				stay zombies; at SIGTERM they are reaped
 *   moves spin [CPU [PRIORITY]]
 *				spin in user mode, on this CPU, with this SCHED_FIFO priority
 *   moves uring FILE TEXT	let a worker of io_uring write TEXT, wait, print the result
 *
 * A process that runs for ever, and all its children, exit at SIGTERM.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAIR "/proc/moves/pair"

static char *self;

static void die(const char *what)
{
	fprintf(stderr, "moves: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int put(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);
	ssize_t ret;

	if (fd < 0)
		die(file);
	ret = write(fd, text, strlen(text));
	if (ret < 0)
		fprintf(stderr, "moves: %s: %s\n", file, strerror(errno));
	close(fd);
	return ret < 0;
}

/* The signal handler of a group's first process: it ends the whole group. */
static void end_group(int sig)
{
	signal(SIGTERM, SIG_IGN);
	kill(0, SIGTERM);
	_exit(0);
}

static void start_group(void)
{
	setpgid(0, 0);
	signal(SIGTERM, end_group);
}

static pid_t fork_child(void)
{
	pid_t pid = fork();

	if (pid == 0)
		signal(SIGTERM, SIG_DFL);
	return pid;
}

static void hammer(unsigned int seed)
{
	static const char * const pauses[] = { "none", "none", "resched", "nap" };
	int fd = open(PAIR, O_WRONLY);

	if (fd < 0)
		die(PAIR);
	for (;;) {
		char text[32];
		int len = snprintf(text, sizeof(text), "%d %s", rand_r(&seed) % 400,
				   pauses[rand_r(&seed) % 4]);

		if (write(fd, text, len) != len)
			die("write");
		if (rand_r(&seed) % 64)
			continue;
		/* Now and then, fork a child, which also calls the pair. */
		if (fork_child() == 0)
			_exit(put(PAIR, "50 nap"));
		wait(NULL);
	}
}

static void forks(void)
{
	for (;;) {
		pid_t pids[8];

		for (int i = 0; i < 8; i++) {
			pids[i] = fork_child();
			if (pids[i] == 0)
				_exit(put(PAIR, "4 resched"));
		}
		for (int i = 0; i < 8; i++)
			if (pids[i] > 0)
				waitpid(pids[i], NULL, 0);
	}
}

static void execs(void)
{
	for (;;) {
		if (fork_child() == 0) {
			put(PAIR, "2 none");
			execl(self, self, "put", PAIR, "2 none", NULL);
			_exit(1);
		}
		wait(NULL);
	}
}

static void *thread(void *unused)
{
	put(PAIR, "4 resched");
	return NULL;
}

static void threads(void)
{
	for (;;) {
		pthread_t ids[8];
		int n = 0;

		while (n < 8 && !pthread_create(&ids[n], NULL, thread, NULL))
			n++;
		while (n)
			pthread_join(ids[--n], NULL);
	}
}

static int crowd(int n)
{
	int fds[2];
	char c;

	if (pipe(fds))
		die("pipe");
	for (int i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid)
			continue;
		close(fds[1]);
		if (read(fds[0], &c, 1))
			_exit(1);
		_exit(0);
	}
	puts("ready");
	fflush(stdout);
	if (read(0, &c, 1) < 0)
		die("read");
	close(fds[1]);
	pause();
	return 0;
}

static int spin(int argc, char **argv)
{
	volatile unsigned long turns = 0;

	if (argc > 2) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(atoi(argv[2]), &set);
		if (sched_setaffinity(0, sizeof(set), &set))
			die("sched_setaffinity");
	}
	if (argc > 3) {
		struct sched_param param = { .sched_priority = atoi(argv[3]) };

		if (sched_setscheduler(0, SCHED_FIFO, &param))
			die("sched_setscheduler");
	}
	for (;;)
		turns++;
}

static int uring(const char *file, const char *text)
{
	struct io_uring_params params = {};
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqe;
	unsigned int *tail, *array, *head;
	int fd = open(file, O_WRONLY), ring;
	char *sq, *cq;

	if (fd < 0)
		die(file);
	ring = syscall(SYS_io_uring_setup, 4, &params);
	if (ring < 0)
		die("io_uring_setup");
	sq = mmap(NULL, params.sq_off.array + 4 * params.sq_entries, PROT_READ | PROT_WRITE,
		  MAP_SHARED, ring, IORING_OFF_SQ_RING);
	cq = mmap(NULL, params.cq_off.cqes + sizeof(*cqe) * params.cq_entries,
		  PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
	sqes = mmap(NULL, sizeof(*sqes) * params.sq_entries, PROT_READ | PROT_WRITE,
		    MAP_SHARED, ring, IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || sqes == MAP_FAILED)
		die("mmap");

	sqes[0] = (struct io_uring_sqe) {
		.opcode = IORING_OP_WRITE,
		.flags = IOSQE_ASYNC,
		.fd = fd,
		.addr = (uintptr_t)text,
		.len = strlen(text),
	};
	tail = (unsigned int *)(sq + params.sq_off.tail);
	array = (unsigned int *)(sq + params.sq_off.array);
	array[*tail & (params.sq_entries - 1)] = 0;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring, 1, 0, 0, NULL, 0) != 1)
		die("io_uring_enter");
	while (syscall(SYS_io_uring_enter, ring, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		if (errno != EINTR)
			die("io_uring_enter");
	head = (unsigned int *)(cq + params.cq_off.head);
	cqe = (struct io_uring_cqe *)(cq + params.cq_off.cqes) +
	      (*head & (params.cq_entries - 1));
	printf("%d\n", cqe->res);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int n = argc > 2 ? atoi(argv[2]) : 0;

	self = "/proc/self/exe";
	if (argc > 3 && !strcmp(what, "put")) {
		if (argc > 4)
			prctl(PR_SET_NAME, argv[4]);
		return put(argv[2], argv[3]);
	}
	if (argc > 3 && !strcmp(what, "uring"))
		return uring(argv[2], argv[3]);
	if (!strcmp(what, "spin"))
		return spin(argc, argv);
	if (n <= 0) {
		fprintf(stderr, "usage: see the beginning of moves.c\n");
		return 2;
	}

	start_group();
	if (!strcmp(what, "crowd"))
		return crowd(n);
	for (int i = 0; i < n; i++) {
		if (fork_child())
			continue;
		if (!strcmp(what, "hammer"))
			hammer((argc > 3 ? atoi(argv[3]) : 1) + i);
		else if (!strcmp(what, "forks"))
			forks();
		else if (!strcmp(what, "execs"))
			execs();
		else if (!strcmp(what, "threads"))
			threads();
		_exit(2);
	}
	/* The children run for ever, so a child that exits has failed. */
	while (wait(NULL) < 0 && errno == EINTR)
		;
	kill(0, SIGKILL);
	return 1;
}
