// SPDX-License-Identifier: GPL-2.0
/*
 * The measuring program of the benchmark. It is linked statically, and does all of its work
 * without a shell. In the guest, only init runs besides it, and waits.
 *
 *	bench [-q] LOADER SECTION...
 *
 * LOADER is klp (in-tree livepatch) or rlp (this loader, which is loaded first and
 * unloaded at the end). Each run of each measurement prints one line:
 *
 *	result METRIC PARAMETER LOADER VALUE
 *
 * Times are in nanoseconds, memory is in bytes. Documentation/bench.rst describes the
 * metrics, and scripts/bench-results/report evaluates these lines. All other lines report progress.
 * With -q there are fewer runs, and the slowest measurements are skipped.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NSEC_PER_SEC	1000000000LL
#define USEC		1000LL
#define MSEC		1000000LL

#define MODULES		"/modules/"
#define DEBUGFS		"/sys/kernel/debug/bench_target/"
#define TRACING		"/sys/kernel/tracing/"

/* The interval at which a state is polled. The system calls of a poll take less than 1 % of it. */
#define POLL		(500 * USEC)

static const char *loader;	/* klp or rlp */
static const char *patches_dir;	/* the loader's directory in sysfs */
static bool is_rlp;		/* the loader is rlp */
static bool quick;

static void __attribute__((noreturn, format(printf, 1, 2)))
die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("error: %s: ", loader ?: "-");
	vprintf(format, args);
	printf(" (%s)\n", strerror(errno));
	va_end(args);
	exit(1);
}

static void print_result(const char *metric, long parameter, int64_t value)
{
	printf("result %s %ld %s %lld\n", metric, parameter, loader, (long long)value);
	fflush(stdout);
}

/* Time. */

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static void sleep_until(int64_t when)
{
	struct timespec ts = { when / NSEC_PER_SEC, when % NSEC_PER_SEC };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
}

static void pause_for(int64_t ns)
{
	sleep_until(now() + ns);
}

/* Files in procfs, sysfs and debugfs. */

static ssize_t read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t len;

	if (fd < 0)
		return -1;
	len = read(fd, buf, size - 1);
	close(fd);
	buf[len > 0 ? len : 0] = 0;
	return len;
}

static long long read_number(const char *path)
{
	char buf[64];

	if (read_file(path, buf, sizeof(buf)) < 0)
		die("reading %s", path);
	return strtoll(buf, NULL, 0);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die("writing '%s' to %s", text, path);
	close(fd);
}

/* Modules. */

static void load(const char *module, const char *parameters)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), MODULES "%s.ko", module);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || syscall(SYS_finit_module, fd, parameters, 0))
		die("loading %s", path);
	close(fd);
}

/* Retries while the module is in use: its last user may put its reference soon. */
static void unload(const char *module)
{
	int64_t deadline = now() + 60 * NSEC_PER_SEC;

	while (syscall(SYS_delete_module, module, O_NONBLOCK)) {
		if (now() > deadline)
			die("unloading %s", module);
		pause_for(POLL);
	}
}

/* Patches. */

struct patch {
	char module[32];
	char enabled[128];
	char transition[128];
	char mode[160];		/* the file of the last function */
};

static struct patch patch_by_name(const char *what, int functions)
{
	struct patch p;

	snprintf(p.module, sizeof(p.module), "bench_%s_%s", loader, what);
	snprintf(p.enabled, sizeof(p.enabled), "%s/%s/enabled", patches_dir, p.module);
	snprintf(p.transition, sizeof(p.transition), "%s/%s/transition", patches_dir, p.module);
	snprintf(p.mode, sizeof(p.mode), "%s/%s/bench_target/bench_%04d,1/mode",
		 patches_dir, p.module, functions - 1);
	return p;
}

static struct patch patch_by_size(int functions)
{
	char what[16];

	snprintf(what, sizeof(what), "%d", functions);
	return patch_by_name(what, functions);
}

static void wait_complete(const struct patch *p)
{
	char enabled = 0, transition = 0;
	int e = open(p->enabled, O_RDONLY), t = open(p->transition, O_RDONLY);

	if (e < 0 || t < 0)
		die("opening %s", p->enabled);
	for (;;) {
		if (pread(t, &transition, 1, 0) != 1 || pread(e, &enabled, 1, 0) != 1)
			die("reading %s", p->enabled);
		if (transition == '0')
			break;
		pause_for(POLL);
	}
	if (enabled != '1')
		die("%s is not enabled", p->module);
	close(e);
	close(t);
}

/* Returns the time from insmod until every task is switched. */
static int64_t enable(const struct patch *p)
{
	int64_t start = now();

	load(p->module, "");
	wait_complete(p);
	return now() - start;
}

/* Returns the time from the write of 0 until the directory is removed. */
static int64_t disable(const struct patch *p)
{
	int64_t start = now(), elapsed;

	write_file(p->enabled, "0");
	while (!access(p->enabled, F_OK))
		pause_for(POLL);
	elapsed = now() - start;
	unload(p->module);
	return elapsed;
}

/*
 * Waits until the patch is in the state that it keeps for most of its life. This loader
 * promotes the functions in the background. The wait is at least two seconds for both loaders.
 */
static void settle(const struct patch *p)
{
	char mode[64] = "";
	int64_t deadline = now() + 20 * NSEC_PER_SEC;

	pause_for(2 * NSEC_PER_SEC);
	while (is_rlp) {
		if (read_file(p->mode, mode, sizeof(mode)) < 0)
			die("reading %s", p->mode);
		if (strncmp(mode, "handler settling", 16))
			break;
		if (now() > deadline)
			die("%s does not settle", p->module);
		pause_for(10 * MSEC);
	}
	if (is_rlp && strncmp(mode, "jump", 4))
		printf("# %s: mode is %s", p->module, mode);
}

static void set_promote(bool on)
{
	if (is_rlp)
		write_file("/sys/module/rust_livepatch/parameters/promote", on ? "Y" : "N");
}

/* Helpers: processes that run during a measurement, and are killed after it. */

static pid_t start_helper(void (*run)(void *), void *data, int ready[2])
{
	pid_t pid;

	fflush(stdout);
	if (pipe(ready))
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		close(ready[0]);
		run(data);
		_exit(0);
	}
	close(ready[1]);
	return pid;
}

static void stop_helper(pid_t pid)
{
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		/* The kernel reaps the threads in the background. */
		pause_for(200 * MSEC);
	}
}

static void *sleep_forever(void *nothing)
{
	for (;;)
		pause();
	return nothing;
}

static int ready_pipe[2];

static void run_sleepers(void *count)
{
	pthread_attr_t attr;
	pthread_t thread;
	int ret;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 16384);
	pthread_attr_setguardsize(&attr, 0);
	for (long i = 1; i < (long)count; i++) {
		ret = pthread_create(&thread, &attr, sleep_forever, NULL);
		if (ret)
			die("thread %ld: %s", i, strerror(ret));
	}
	if (write(ready_pipe[1], "", 1) != 1)
		die("pipe");
	sleep_forever(NULL);
}

/* Starts a process with @count threads that sleep. */
static pid_t start_sleepers(long count)
{
	char byte;
	pid_t pid;

	if (!count)
		return 0;
	pid = start_helper(run_sleepers, (void *)count, ready_pipe);
	if (read(ready_pipe[0], &byte, 1) != 1)
		die("the threads did not start");
	close(ready_pipe[0]);
	pause_for(300 * MSEC);
	return pid;
}

static void run_sleep_inside(void *file)
{
	read_number(file);
}

/* Starts a task that sleeps in the kernel, as a read of @file does. */
static pid_t start_sleeper(char *file)
{
	pid_t pid = start_helper(run_sleep_inside, file, ready_pipe);

	close(ready_pipe[0]);
	pause_for(100 * MSEC);
	return pid;
}

/* Starts a task that sleeps in a function of the patch "held". */
static pid_t start_sleeper_inside(void)
{
	return start_sleeper(DEBUGFS "sleep");
}

/* Insmod and disable. */

/*
 * Enables and disables a patch once. @on and @off are the metrics of the two results. If one
 * of them is NULL, that result is not printed.
 */
static void measure_change(int functions, long threads, const char *on, const char *off,
			   long parameter)
{
	struct patch p = patch_by_size(functions);
	pid_t pid = start_sleepers(threads);
	int64_t elapsed;

	elapsed = enable(&p);
	if (on)
		print_result(on, parameter, elapsed);
	settle(&p);
	elapsed = disable(&p);
	if (off)
		print_result(off, parameter, elapsed);
	stop_helper(pid);
}

/*
 * Returns the number of runs, which is enough for a median. In a quick run, measurements that
 * take minutes with in-tree livepatch are made only once.
 */
static int nr_runs(int functions, long threads)
{
	if (!quick)
		return 5;
	return !is_rlp && functions * (threads + 100) >= 100000 ? 1 : 3;
}

static void section_functions(void)
{
	static const int sizes[] = { 1, 10, 100, 1000 };

	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		for (int run = nr_runs(sizes[i], 0); run; run--)
			measure_change(sizes[i], 0, "insmod-functions", "disable-functions",
				       sizes[i]);
}

static void section_threads(void)
{
	static const long counts[] = { 100, 1000, 4000, 10000 };

	for (unsigned int i = 0; i < sizeof(counts) / sizeof(*counts); i++)
		for (int run = nr_runs(1, counts[i]); run; run--)
			measure_change(1, counts[i], "insmod-threads", "disable-threads",
				       counts[i]);
}

/* Reads /dev/zero for ever: nearly all of the time is spent in the kernel, in clear_user(). */
static void run_busy(void *nothing)
{
	static char buf[1 << 18];
	int fd = open("/dev/zero", O_RDONLY);

	while (read(fd, buf, sizeof(buf)) > 0)
		;
	die("/dev/zero");
}

/* One function, while one process for each CPU is in the kernel for most of its time. */
static void section_busy(void)
{
	pid_t busy[2];

	for (unsigned int i = 0; i < 2; i++) {
		busy[i] = start_helper(run_busy, NULL, ready_pipe);
		close(ready_pipe[0]);
	}
	pause_for(300 * MSEC);
	for (int run = nr_runs(1, 0); run; run--)
		measure_change(1, 0, "insmod-busy", "disable-busy", 2);
	for (unsigned int i = 0; i < 2; i++)
		stop_helper(busy[i]);
}

/*
 * The time until insmod returns, for a patch that is loaded right after the loader, and for one
 * that is loaded a second later.
 */
static void section_fresh(void)
{
	static const long delays[] = { 0, 1000 };
	struct patch p = patch_by_size(1);

	if (!is_rlp)
		return;
	for (unsigned int i = 0; i < sizeof(delays) / sizeof(*delays); i++) {
		for (int run = nr_runs(1, 0); run; run--) {
			int64_t start;

			unload("rust_livepatch");
			pause_for(NSEC_PER_SEC);
			load("rust_livepatch", "");
			pause_for(delays[i] * MSEC);
			start = now();
			load(p.module, "");
			print_result("insmod-fresh", delays[i], now() - start);
			wait_complete(&p);
			settle(&p);
			disable(&p);
		}
	}
}

/* Returns the number after the last @what in the kernel's log. */
static long long logged_after(const char *what)
{
	static char log[1 << 20];
	int len = klogctl(3, log, sizeof(log) - 1);
	char *at, *last = NULL;

	if (len < 0)
		die("the kernel's log");
	log[len] = 0;
	for (at = log; (at = strstr(at, what)); at++)
		last = at;
	if (!last)
		die("the log has no '%s'", what);
	return strtoll(last + strlen(what), NULL, 10);
}

/* The time for which the task list is locked while the record of each task is made. */
static void section_enrol(void)
{
	static const long counts[] = { 4000, 10000, 20000 };
	struct patch p = patch_by_size(1);

	if (!is_rlp)
		return;
	write_file("/sys/module/rust_livepatch/parameters/debug", "Y");
	for (unsigned int i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		pid_t pid = start_sleepers(counts[i]);

		for (int run = nr_runs(1, 0); run; run--) {
			enable(&p);
			print_result("enrol", counts[i],
				     logged_after("task list locked for ") * USEC);
			settle(&p);
			disable(&p);
		}
		stop_helper(pid);
	}
	write_file("/sys/module/rust_livepatch/parameters/debug", "N");
}

static void section_large(void)
{
	if (!is_rlp && quick)
		return;
	for (int run = nr_runs(1000, 4000); run; run--)
		measure_change(1000, 4000, "insmod-large", "disable-large", 4000);
}

/* The time that insmod takes if the patch does not enable itself. */
static void section_load(void)
{
	static const int sizes[] = { 1, 1000 };

	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct patch p = patch_by_size(sizes[i]);

		for (int run = 0; run < 5; run++) {
			int64_t start = now();

			load(p.module, "enable=N");
			print_result("load", sizes[i], now() - start);
			unload(p.module);
		}
	}
}

/* Calls. */

static int64_t time_loop(void)
{
	write_file(DEBUGFS "calls", "100000");
	return read_number(DEBUGFS "calls");
}

/*
 * Returns the duration of a call in picoseconds. @base, the duration of the loop without a
 * patch, is subtracted.
 */
static int64_t measure_calls(int64_t base)
{
	int64_t best = INT64_MAX, elapsed;

	for (int i = 0; i < 3; i++) {
		elapsed = time_loop();
		best = elapsed < best ? elapsed : best;
	}
	return (best - base) / 100;
}

static void section_calls(void)
{
	struct patch p = patch_by_size(1), held = patch_by_name("held", 1);
	pid_t pid;

	for (int run = quick ? 3 : 5; run; run--) {
		int64_t base = measure_calls(0) * 100;

		print_result("call-unpatched", 0, base / 100);

		enable(&p);
		settle(&p);
		print_result("call", 0, measure_calls(base));
		disable(&p);

		set_promote(false);
		enable(&p);
		settle(&p);
		print_result("call-handler", 0, measure_calls(base));
		disable(&p);

		pid = start_sleeper_inside();
		load(held.module, "");
		pause_for(2 * NSEC_PER_SEC);
		if (read_number(held.transition) != 1)
			die("the transition of %s is over", held.module);
		print_result("call-transition", 0, measure_calls(base));
		stop_helper(pid);
		wait_complete(&held);
		disable(&held);
		set_promote(true);
	}
}

/* Memory. */

static int64_t meminfo_bytes(const char *meminfo, const char *name)
{
	const char *line = strstr(meminfo, name);

	if (!line)
		die("no %s in /proc/meminfo", name);
	return strtoll(line + strlen(name), NULL, 10) * 1024;
}

/* Returns the memory that the kernel has allocated for itself, by kmalloc() and vmalloc(). */
static int64_t mem_used(void)
{
	static char buf[8192];
	int64_t last, used = 0;

	/* Let pending frees happen and drop caches, until the sum is stable. */
	do {
		last = used;
		write_file("/proc/sys/vm/drop_caches", "3");
		pause_for(500 * MSEC);
		if (read_file("/proc/meminfo", buf, sizeof(buf)) < 0)
			die("/proc/meminfo");
		used = meminfo_bytes(buf, "\nSlab:") + meminfo_bytes(buf, "\nVmallocUsed:");
	} while (used > last + 16384 || used < last - 16384);
	return used;
}

static int64_t measure_memory(int functions, int64_t *kept)
{
	struct patch p = patch_by_size(functions);
	int64_t before = mem_used(), during;

	enable(&p);
	settle(&p);
	during = mem_used();
	disable(&p);
	pause_for(NSEC_PER_SEC);
	*kept = mem_used() - before;
	return during - before;
}

static int64_t memory_in_transition(long threads, int64_t *kept)
{
	struct patch held = patch_by_name("held", 1);
	pid_t pid = start_sleepers(threads), inside;
	int64_t before, during;

	inside = start_sleeper_inside();
	before = mem_used();
	load(held.module, "");
	pause_for(2 * NSEC_PER_SEC);
	if (read_number(held.transition) != 1)
		die("the transition of %s is over", held.module);
	during = mem_used();
	stop_helper(inside);
	wait_complete(&held);
	disable(&held);
	pause_for(NSEC_PER_SEC);
	*kept = mem_used() - before;
	stop_helper(pid);
	return during - before;
}

static void section_memory(void)
{
	int64_t one, many, kept;

	/* The first run of each measurement fills caches that are kept. */
	measure_memory(1, &kept);
	for (int run = nr_runs(1000, 0); run; run--) {
		one = measure_memory(1, &kept);
		many = measure_memory(1000, &kept);
		print_result("memory-function", 1000, (many - one) / 999);
		print_result("memory-kept", 1000, kept);
	}
	memory_in_transition(4000, &kept);
	for (int run = nr_runs(1, 4000); run; run--) {
		one = memory_in_transition(0, &kept);
		many = memory_in_transition(4000, &kept);
		print_result("memory-task", 4000, (many - one) / 4000);
		print_result("memory-task-kept", 4000, kept);
	}
	if (is_rlp)
		print_result("memory-module", 0,
			     read_number("/sys/module/rust_livepatch/coresize"));
}

/*
 * Latency: the probes run on the only CPU that is online, with realtime priority. So only the
 * kernel can keep them from running.
 */

struct probes {
	volatile int64_t gap;	/* the longest since reset_probes() */
	volatile int64_t fork;	/* the longest since reset_probes() */
};

static struct probes *probes;

static void run_realtime(int priority)
{
	struct sched_param param = { .sched_priority = priority };
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus) ||
	    sched_setscheduler(0, SCHED_FIFO, &param) || mlockall(MCL_CURRENT))
		die("setting priority %d", priority);
}

/* Sleeps for a period, and measures how late it wakes up. */
static void run_gap_probe(void *period)
{
	int64_t next, late;

	run_realtime(99);
	for (;;) {
		next = now() + (long)period;
		sleep_until(next);
		late = now() - next;
		if (late > probes->gap)
			probes->gap = late;
	}
}

/* Forks once in each period. Measures from the planned time until fork() has returned. */
static void run_fork_probe(void *period)
{
	int64_t next, late;
	pid_t pid;

	run_realtime(50);
	for (;;) {
		next = now() + (long)period;
		sleep_until(next);
		pid = fork();
		if (!pid)
			_exit(0);
		late = now() - next;
		if (pid < 0)
			die("fork");
		if (late > probes->fork)
			probes->fork = late;
		waitpid(pid, NULL, 0);
	}
}

static void reset_probes(void)
{
	pause_for(20 * MSEC);
	probes->gap = 0;
	probes->fork = 0;
}

/*
 * Measures the longest latency of one kind of probe, while a patch is enabled, settles and is
 * disabled.
 */
static void latency_once(bool forks, int functions, long threads)
{
	struct patch p = patch_by_size(functions);
	pid_t threads_pid = start_sleepers(threads), probe;
	const char *metric = forks ? "fork" : "gap";
	volatile int64_t *longest = forks ? &probes->fork : &probes->gap;
	char name[32];
	/* In-tree livepatch causes longer gaps. A probe with a longer period still finds them. */
	long period_factor = is_rlp ? 1 : 10;

	if (forks)
		probe = start_helper(run_fork_probe, (void *)(period_factor * 2 * MSEC),
				     ready_pipe);
	else
		probe = start_helper(run_gap_probe, (void *)(period_factor * 100 * USEC),
				     ready_pipe);
	close(ready_pipe[0]);

	reset_probes();
	pause_for(500 * MSEC);
	snprintf(name, sizeof(name), "%s-idle", metric);
	print_result(name, threads, *longest);

	reset_probes();
	enable(&p);
	snprintf(name, sizeof(name), "%s-enable", metric);
	print_result(name, threads, *longest);

	reset_probes();
	settle(&p);
	snprintf(name, sizeof(name), "%s-settle", metric);
	print_result(name, threads, *longest);

	reset_probes();
	disable(&p);
	snprintf(name, sizeof(name), "%s-disable", metric);
	print_result(name, threads, *longest);

	stop_helper(probe);
	stop_helper(threads_pid);
}

static void section_latency(void)
{
	const char *online = "/sys/devices/system/cpu/cpu1/online";
	bool two = !access(online, F_OK);

	if (!is_rlp && quick)
		return;
	probes = mmap(NULL, sizeof(*probes), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (probes == MAP_FAILED)
		die("mmap");
	if (two)
		write_file(online, "0");
	for (int run = nr_runs(1000, 4000); run; run--) {
		latency_once(false, 1000, 4000);
		latency_once(true, 1000, 4000);
	}
	if (two)
		write_file(online, "1");
}

/* Tracing with the function graph tracer. */

static void trace_begin(const char *functions)
{
	int fd = open(TRACING "set_ftrace_filter", O_WRONLY | O_TRUNC);
	char *names = strdup(functions);

	if (fd < 0)
		die("no function tracer");
	for (char *name = strtok(names, " "); name; name = strtok(NULL, " "))
		if (write(fd, name, strlen(name)) < 0 || write(fd, " ", 1) < 0)
			printf("# %s cannot be traced\n", name);
	free(names);
	close(fd);
	write_file(TRACING "options/funcgraph-tail", "1");
	write_file(TRACING "options/funcgraph-overhead", "0");
	write_file(TRACING "buffer_size_kb", "8192");
	write_file(TRACING "current_tracer", "function_graph");
	write_file(TRACING "tracing_on", "1");
}

struct traced {
	char name[64];
	long count;
	double sum, max;	/* us */
};

/* Sums up the trace by function, in @all. Returns the number of functions. */
static int trace_end(struct traced *all, int room)
{
	char line[512], name[64];
	int nr = 0, i;
	FILE *file;

	write_file(TRACING "tracing_on", "0");
	file = fopen(TRACING "trace", "r");
	if (!file)
		die("trace");
	while (fgets(line, sizeof(line), file)) {
		char *us = strstr(line, " us "), *start, *bar = strchr(line, '|');
		double elapsed;

		if (!us || !bar || us > bar)
			continue;
		*us = 0;
		start = strrchr(line, ' ');
		elapsed = strtod(start ? start : line, NULL);
		for (bar++; *bar == ' ' || *bar == '}' || *bar == '/' || *bar == '*'; bar++)
			;
		if (sscanf(bar, "%63[a-zA-Z0-9_.]", name) != 1)
			continue;
		for (i = 0; i < nr && strcmp(all[i].name, name); i++)
			;
		if (i == nr) {
			if (nr == room)
				continue;
			memset(&all[nr], 0, sizeof(*all));
			strcpy(all[nr++].name, name);
		}
		all[i].count++;
		all[i].sum += elapsed;
		all[i].max = elapsed > all[i].max ? elapsed : all[i].max;
	}
	fclose(file);
	write_file(TRACING "current_tracer", "nop");
	write_file(TRACING "set_ftrace_filter", "\n");
	write_file(TRACING "trace", "\n");
	return nr;
}

/*
 * Both loaders check a task in task_call_func(), which holds the task's locks with
 * interrupts off. The duration of task_call_func() is the time for which they are held.
 */
static void section_check(void)
{
	static const int sizes[] = { 1, 1000 };
	struct traced traced[4];

	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct patch p = patch_by_size(sizes[i]);

		for (int run = nr_runs(sizes[i], 0); run; run--) {
			trace_begin("task_call_func");
			enable(&p);
			if (trace_end(traced, 4) != 1)
				die("task_call_func was not seen");
			print_result("check", sizes[i], traced[0].max * USEC);
			settle(&p);
			disable(&p);
		}
		/* In-tree livepatch checks no stack with more than 100 return addresses. */
		for (int run = is_rlp ? nr_runs(sizes[i], 0) : 0; run; run--) {
			pid_t pid = start_sleeper(DEBUGFS "deep");

			trace_begin("task_call_func");
			enable(&p);
			if (trace_end(traced, 4) != 1)
				die("task_call_func was not seen");
			print_result("check-deep", sizes[i], traced[0].max * USEC);
			settle(&p);
			disable(&p);
			stop_helper(pid);
		}
	}
}

/* Prints the time spent in each of @functions during a change. Not part of the report. */
static void print_phase(const char *what, const char *functions, const struct patch *p,
			int64_t (*change)(const struct patch *p))
{
	struct traced traced[32];
	int64_t elapsed;
	int nr;

	trace_begin(functions);
	elapsed = change(p);
	nr = trace_end(traced, 32);
	printf("# %s %s: %lld us\n", what, p->module, (long long)(elapsed / USEC));
	for (int i = 0; i < nr; i++)
		printf("#   %-36s %6ld times %12.1f us, longest %10.1f us\n",
		       traced[i].name, traced[i].count, traced[i].sum, traced[i].max);
}

static int64_t settle_timed(const struct patch *p)
{
	int64_t start = now();

	settle(p);
	return now() - start;
}

static void section_phases(void)
{
	static const char functions[] =
		"load_module do_init_module module_kallsyms_on_each_symbol "
		"kallsyms_lookup_size_offset sysfs_create_dir_ns sysfs_create_file_ns "
		"sysfs_remove_dir kernfs_remove "
		"tracepoint_probe_register tracepoint_probe_unregister "
		"synchronize_rcu synchronize_rcu_expedited "
		"synchronize_rcu_tasks synchronize_rcu_tasks_rude "
		"ftrace_set_filter_ips register_ftrace_function static_key_enable "
		"update_ftrace_direct_add update_ftrace_direct_del "
		"synchronize_srcu task_call_func smp_call_function_single "
		"on_each_cpu_cond_mask arch_ftrace_update_trampoline "
		"__vmalloc_node_noprof vfree smp_text_poke_batch_finish "
		"kick_all_cpus_sync rcu_barrier";
	static const struct { int functions; long threads; } cases[] = {
		{ 1, 0 }, { 1, 4000 }, { 1000, 0 }, { 1000, 4000 },
	};

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct patch p = patch_by_size(cases[i].functions);
		pid_t pid = start_sleepers(cases[i].threads);

		printf("# %d functions, %ld threads\n", cases[i].functions, cases[i].threads);
		print_phase("enable", functions, &p, enable);
		print_phase("settle", functions, &p, settle_timed);
		print_phase("disable", functions, &p, disable);
		stop_helper(pid);
	}
}

static const struct section {
	const char *name;
	void (*run)(void);
} sections[] = {
	{ "calls", section_calls },
	{ "load", section_load },
	{ "functions", section_functions },
	{ "threads", section_threads },
	{ "busy", section_busy },
	{ "enrol", section_enrol },
	{ "fresh", section_fresh },
	{ "large", section_large },
	{ "memory", section_memory },
	{ "check", section_check },
	{ "latency", section_latency },
	{ "phases", section_phases },
};

static const struct section *find_section(const char *name)
{
	for (unsigned int i = 0; i < sizeof(sections) / sizeof(*sections); i++)
		if (!strcmp(sections[i].name, name))
			return &sections[i];
	die("there is no section %s", name);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "-q")) {
		quick = true;
		argc--, argv++;
	}
	if (argc < 2)
		die("usage: bench [-q] klp|rlp SECTION...");
	for (int arg = 2; arg < argc; arg++)
		find_section(argv[arg]);
	loader = argv[1];
	is_rlp = !strcmp(loader, "rlp");
	patches_dir = is_rlp ? "/sys/kernel/rust_livepatch" : "/sys/kernel/livepatch";

	/* The default is less than 16,000 with 2 GB of memory. "enrol" starts 20,000 threads. */
	write_file("/proc/sys/kernel/threads-max", "100000");
	/* The kernel refines the frequency of its clock soon after boot. Wait until then. */
	pause_for(5 * NSEC_PER_SEC);
	load("bench_target", "");
	if (is_rlp)
		load("rust_livepatch", "");
	for (int arg = 2; arg < argc; arg++) {
		int64_t start = now();

		find_section(argv[arg])->run();
		printf("# %s %s: %lld ms\n", loader, argv[arg],
		       (long long)((now() - start) / MSEC));
		fflush(stdout);
	}
	if (is_rlp)
		unload("rust_livepatch");
	unload("bench_target");
	return 0;
}
