// SPDX-License-Identifier: GPL-2.0
/*
 * The benchmark's measuring program: static, alone in the guest, no shell.
 *
 *	bench [-q] LOADER SECTION...
 *
 * LOADER is klp, the kernel's own, or rlp, which is loaded first and removed at
 * the end. Each run of each measurement is a line of output,
 *
 *	result METRIC PARAMETER LOADER VALUE
 *
 * times in nanoseconds, memory in bytes; what they mean is told in
 * Documentation/bench.rst, and tools/bench-report makes numbers of them. Other
 * lines say what goes on. -q: quick, so few runs and no very slow ones.
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

/* Waiting for a state costs two system calls so often: below one percent. */
#define POLL		(500 * USEC)

static const char *loader;	/* klp or rlp */
static const char *patches;	/* its folder in sysfs */
static bool ours;
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

static void result(const char *metric, long parameter, int64_t value)
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

/* Files of the kernel. */

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

/* The last user may just be leaving. */
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
	char mode[160];		/* of the last function */
};

static struct patch patch_named(const char *what, int functions)
{
	struct patch p;

	snprintf(p.module, sizeof(p.module), "bench_%s_%s", loader, what);
	snprintf(p.enabled, sizeof(p.enabled), "%s/%s/enabled", patches, p.module);
	snprintf(p.transition, sizeof(p.transition), "%s/%s/transition", patches, p.module);
	snprintf(p.mode, sizeof(p.mode), "%s/%s/bench_target/bench_%04d,1/mode",
		 patches, p.module, functions - 1);
	return p;
}

static struct patch patch_of(int functions)
{
	char what[16];

	snprintf(what, sizeof(what), "%d", functions);
	return patch_named(what, functions);
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

/* From insmod until every task has moved. */
static int64_t enable(const struct patch *p)
{
	int64_t start = now();

	load(p->module, "");
	wait_complete(p);
	return now() - start;
}

/* From writing 0 until the directory is gone. */
static int64_t disable(const struct patch *p)
{
	int64_t start = now(), took;

	write_file(p->enabled, "0");
	while (!access(p->enabled, F_OK))
		pause_for(POLL);
	took = now() - start;
	unload(p->module);
	return took;
}

/*
 * As a patch is for most of its life: this loader promotes its functions in
 * the background. The kernel's own gets as much time.
 */
static void settle(const struct patch *p)
{
	char mode[64] = "";
	int64_t deadline = now() + 20 * NSEC_PER_SEC;

	pause_for(2 * NSEC_PER_SEC);
	while (ours) {
		if (read_file(p->mode, mode, sizeof(mode)) < 0)
			die("reading %s", p->mode);
		if (strncmp(mode, "handler settling", 16))
			break;
		if (now() > deadline)
			die("%s does not settle", p->module);
		pause_for(10 * MSEC);
	}
	if (ours && strncmp(mode, "jump", 4))
		printf("# %s: mode is %s", p->module, mode);
}

static void promote(bool on)
{
	if (ours)
		write_file("/sys/module/rust_livepatch/parameters/promote", on ? "Y" : "N");
}

/* Company: processes that run beside what is measured, and end with it. */

static pid_t company(void (*run)(void *), void *data, int ready[2])
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

static void dismiss(pid_t pid)
{
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		/* Threads are reaped in the background. */
		pause_for(200 * MSEC);
	}
}

static void *doze(void *nothing)
{
	for (;;)
		pause();
	return nothing;
}

static int said[2];

static void run_sleepers(void *count)
{
	pthread_attr_t attr;
	pthread_t thread;
	int ret;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 16384);
	pthread_attr_setguardsize(&attr, 0);
	for (long i = 1; i < (long)count; i++) {
		ret = pthread_create(&thread, &attr, doze, NULL);
		if (ret)
			die("thread %ld: %s", i, strerror(ret));
	}
	if (write(said[1], "", 1) != 1)
		die("pipe");
	doze(NULL);
}

/* So many threads that sleep. */
static pid_t sleepers(long count)
{
	char byte;
	pid_t pid;

	if (!count)
		return 0;
	pid = company(run_sleepers, (void *)count, said);
	if (read(said[0], &byte, 1) != 1)
		die("no sleepers");
	close(said[0]);
	pause_for(300 * MSEC);
	return pid;
}

static void run_sleep_inside(void *file)
{
	read_number(file);
}

/* A task asleep in a function that is about to be patched. */
static pid_t sleeper_inside(void)
{
	pid_t pid = company(run_sleep_inside, DEBUGFS "sleep", said);

	close(said[0]);
	pause_for(100 * MSEC);
	return pid;
}

/* Insmod and disable. */

/* Enables and disables once; -1: that is not asked for. */
static void change_once(int functions, long threads, const char *on, const char *off, long parameter)
{
	struct patch p = patch_of(functions);
	pid_t pid = sleepers(threads);
	int64_t took;

	took = enable(&p);
	if (on)
		result(on, parameter, took);
	settle(&p);
	took = disable(&p);
	if (off)
		result(off, parameter, took);
	dismiss(pid);
}

/* Always enough for a median, but for a quick look at what takes the kernel's own minutes. */
static int runs_of(int functions, long threads)
{
	if (!quick)
		return 5;
	return !ours && functions * (threads + 100) >= 100000 ? 1 : 3;
}

static void section_functions(void)
{
	static const int sizes[] = { 1, 10, 100, 1000 };

	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		for (int run = runs_of(sizes[i], 0); run; run--)
			change_once(sizes[i], 0, "insmod-functions", "disable-functions", sizes[i]);
}

static void section_threads(void)
{
	static const long counts[] = { 100, 1000, 4000, 10000 };

	for (unsigned int i = 0; i < sizeof(counts) / sizeof(*counts); i++)
		for (int run = runs_of(1, counts[i]); run; run--)
			change_once(1, counts[i], "insmod-threads", "disable-threads", counts[i]);
}

static void section_large(void)
{
	if (!ours && quick)
		return;
	for (int run = runs_of(1000, 4000); run; run--)
		change_once(1000, 4000, "insmod-large", "disable-large", 4000);
}

/* What insmod costs where the patch does not enable itself. */
static void section_load(void)
{
	static const int sizes[] = { 1, 1000 };

	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct patch p = patch_of(sizes[i]);

		for (int run = 0; run < 5; run++) {
			int64_t start = now();

			load(p.module, "enable=N");
			result("load", sizes[i], now() - start);
			unload(p.module);
		}
	}
}

/* Calls. */

static int64_t loop(void)
{
	write_file(DEBUGFS "calls", "100000");
	return read_number(DEBUGFS "calls");
}

/* Picoseconds a call; the caller subtracts the unpatched one's. */
static int64_t calls_cost(int64_t base)
{
	int64_t best = INT64_MAX, took;

	for (int i = 0; i < 3; i++) {
		took = loop();
		best = took < best ? took : best;
	}
	return (best - base) / 100;
}

static void section_calls(void)
{
	struct patch p = patch_of(1), held = patch_named("held", 1);
	pid_t pid;

	for (int run = quick ? 3 : 5; run; run--) {
		int64_t base = calls_cost(0) * 100;

		result("call-unpatched", 0, base / 100);

		enable(&p);
		settle(&p);
		result("call", 0, calls_cost(base));
		disable(&p);

		promote(false);
		enable(&p);
		settle(&p);
		result("call-handler", 0, calls_cost(base));
		disable(&p);

		pid = sleeper_inside();
		load(held.module, "");
		pause_for(2 * NSEC_PER_SEC);
		if (read_number(held.transition) != 1)
			die("the transition of %s is over", held.module);
		result("call-transition", 0, calls_cost(base));
		dismiss(pid);
		wait_complete(&held);
		disable(&held);
		promote(true);
	}
}

/* Memory. */

static int64_t bytes_of(const char *meminfo, const char *name)
{
	const char *line = strstr(meminfo, name);

	if (!line)
		die("no %s in /proc/meminfo", name);
	return strtoll(line + strlen(name), NULL, 10) * 1024;
}

/* What the kernel has allocated for itself, by kmalloc() and vmalloc(). */
static int64_t mem_used(void)
{
	static char buf[8192];
	int64_t last, used = 0;

	/* What waits to be freed is freed, what is only cached goes, until no more goes. */
	do {
		last = used;
		write_file("/proc/sys/vm/drop_caches", "3");
		pause_for(500 * MSEC);
		if (read_file("/proc/meminfo", buf, sizeof(buf)) < 0)
			die("/proc/meminfo");
		used = bytes_of(buf, "\nSlab:") + bytes_of(buf, "\nVmallocUsed:");
	} while (used > last + 16384 || used < last - 16384);
	return used;
}

static int64_t memory_of(int functions, int64_t *kept)
{
	struct patch p = patch_of(functions);
	int64_t before = mem_used(), during;

	enable(&p);
	settle(&p);
	during = mem_used();
	disable(&p);
	pause_for(NSEC_PER_SEC);
	*kept = mem_used() - before;
	return during - before;
}

static int64_t memory_moving(long threads, int64_t *kept)
{
	struct patch held = patch_named("held", 1);
	pid_t pid = sleepers(threads), inside;
	int64_t before, during;

	inside = sleeper_inside();
	before = mem_used();
	load(held.module, "");
	pause_for(2 * NSEC_PER_SEC);
	if (read_number(held.transition) != 1)
		die("the transition of %s is over", held.module);
	during = mem_used();
	dismiss(inside);
	wait_complete(&held);
	disable(&held);
	pause_for(NSEC_PER_SEC);
	*kept = mem_used() - before;
	dismiss(pid);
	return during - before;
}

static void section_memory(void)
{
	int64_t one, many, kept;

	/* The first of each fills caches that stay. */
	memory_of(1, &kept);
	for (int run = runs_of(1000, 0); run; run--) {
		one = memory_of(1, &kept);
		many = memory_of(1000, &kept);
		result("memory-function", 1000, (many - one) / 999);
		result("memory-kept", 1000, kept);
	}
	memory_moving(4000, &kept);
	for (int run = runs_of(1, 4000); run; run--) {
		one = memory_moving(0, &kept);
		many = memory_moving(4000, &kept);
		result("memory-task", 4000, (many - one) / 4000);
		result("memory-task-kept", 4000, kept);
	}
	if (ours)
		result("memory-module", 0, read_number("/sys/module/rust_livepatch/coresize"));
}

/* Latency: one processor, so that nothing but the kernel can keep it from the probes. */

struct probes {
	volatile int64_t gap;	/* longest since reset */
	volatile int64_t fork;
};

static struct probes *probes;

static void pin_and_rule(int priority)
{
	struct sched_param param = { .sched_priority = priority };
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus) ||
	    sched_setscheduler(0, SCHED_FIFO, &param) || mlockall(MCL_CURRENT))
		die("priority %d", priority);
}

/* Looks at the clock, sleeps, and sees by how much it was kept from looking again. */
static void run_clock_watcher(void *period)
{
	int64_t next, late;

	pin_and_rule(99);
	for (;;) {
		next = now() + (long)period;
		sleep_until(next);
		late = now() - next;
		if (late > probes->gap)
			probes->gap = late;
	}
}

/* Forks, from the moment at which it wants to. */
static void run_forker(void *period)
{
	int64_t next, late;
	pid_t pid;

	pin_and_rule(50);
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

/* The longest of one run of one kind of probe over a change of a patch and back. */
static void latency_once(bool forks, int functions, long threads)
{
	struct patch p = patch_of(functions);
	pid_t crowd = sleepers(threads), probe;
	const char *metric = forks ? "fork" : "gap";
	volatile int64_t *longest = forks ? &probes->fork : &probes->gap;
	char name[32];
	/* What the kernel's own keeps others waiting for is found by fewer looks. */
	long rarely = ours ? 1 : 10;

	if (forks)
		probe = company(run_forker, (void *)(rarely * 2 * MSEC), said);
	else
		probe = company(run_clock_watcher, (void *)(rarely * 100 * USEC), said);
	close(said[0]);

	reset_probes();
	pause_for(500 * MSEC);
	snprintf(name, sizeof(name), "%s-idle", metric);
	result(name, threads, *longest);

	reset_probes();
	enable(&p);
	snprintf(name, sizeof(name), "%s-enable", metric);
	result(name, threads, *longest);

	reset_probes();
	settle(&p);
	snprintf(name, sizeof(name), "%s-settle", metric);
	result(name, threads, *longest);

	reset_probes();
	disable(&p);
	snprintf(name, sizeof(name), "%s-disable", metric);
	result(name, threads, *longest);

	dismiss(probe);
	dismiss(crowd);
}

static void section_latency(void)
{
	const char *online = "/sys/devices/system/cpu/cpu1/online";
	bool two = !access(online, F_OK);

	if (!ours && quick)
		return;
	probes = mmap(NULL, sizeof(*probes), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (probes == MAP_FAILED)
		die("mmap");
	if (two)
		write_file(online, "0");
	for (int run = runs_of(1000, 4000); run; run--) {
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

/* Sums up by function; returns how many. */
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
		double took;

		if (!us || !bar || us > bar)
			continue;
		*us = 0;
		start = strrchr(line, ' ');
		took = strtod(start ? start : line, NULL);
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
		all[i].sum += took;
		all[i].max = took > all[i].max ? took : all[i].max;
	}
	fclose(file);
	write_file(TRACING "current_tracer", "nop");
	write_file(TRACING "set_ftrace_filter", "\n");
	write_file(TRACING "trace", "\n");
	return nr;
}

/*
 * Both loaders look at a task under task_call_func(), which holds the task's
 * locks with interrupts off: how long it takes is how long they are.
 */
static void section_check(void)
{
	static const int sizes[] = { 1, 1000 };
	struct traced traced[4];

	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct patch p = patch_of(sizes[i]);

		for (int run = runs_of(sizes[i], 0); run; run--) {
			trace_begin("task_call_func");
			enable(&p);
			if (trace_end(traced, 4) != 1)
				die("task_call_func was not seen");
			result("check", sizes[i], traced[0].max * USEC);
			settle(&p);
			disable(&p);
		}
	}
}

/* Where the time goes, by what is called. Not part of the report. */
static void phase(const char *what, const char *functions, const struct patch *p,
		  int64_t (*change)(const struct patch *p))
{
	struct traced traced[32];
	int64_t took;
	int nr;

	trace_begin(functions);
	took = change(p);
	nr = trace_end(traced, 32);
	printf("# %s %s: %lld us\n", what, p->module, (long long)(took / USEC));
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
		"synchronize_rcu synchronize_rcu_tasks synchronize_rcu_tasks_rude "
		"synchronize_srcu task_call_func smp_call_function_single "
		"on_each_cpu_cond_mask arch_ftrace_update_trampoline "
		"__vmalloc_node_noprof vfree smp_text_poke_batch_finish "
		"kick_all_cpus_sync rcu_barrier";
	static const struct { int functions; long threads; } cases[] = {
		{ 1, 0 }, { 1000, 0 }, { 1000, 4000 },
	};

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct patch p = patch_of(cases[i].functions);
		pid_t pid = sleepers(cases[i].threads);

		printf("# %d functions, %ld threads\n", cases[i].functions, cases[i].threads);
		phase("enable", functions, &p, enable);
		phase("settle", functions, &p, settle_timed);
		phase("disable", functions, &p, disable);
		dismiss(pid);
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
	{ "large", section_large },
	{ "memory", section_memory },
	{ "check", section_check },
	{ "latency", section_latency },
	{ "phases", section_phases },
};

int main(int argc, char **argv)
{
	int64_t start;

	if (argc > 1 && !strcmp(argv[1], "-q")) {
		quick = true;
		argc--, argv++;
	}
	if (argc < 2)
		die("usage: bench [-q] klp|rlp SECTION...");
	loader = argv[1];
	ours = !strcmp(loader, "rlp");
	patches = ours ? "/sys/kernel/rust_livepatch" : "/sys/kernel/livepatch";

	/* Soon after boot the kernel corrects its idea of how fast the clock runs. */
	pause_for(5 * NSEC_PER_SEC);
	load("bench_target", "");
	if (ours)
		load("rust_livepatch", "");
	for (int arg = 2; arg < argc; arg++) {
		for (unsigned int i = 0; i < sizeof(sections) / sizeof(*sections); i++) {
			if (strcmp(sections[i].name, argv[arg]))
				continue;
			start = now();
			sections[i].run();
			printf("# %s %s: %lld ms\n", loader, argv[arg],
			       (long long)((now() - start) / MSEC));
			fflush(stdout);
		}
	}
	if (ours)
		unload("rust_livepatch");
	unload("bench_target");
	return 0;
}
